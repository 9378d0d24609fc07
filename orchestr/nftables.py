"""libnftables in process (libnftables(3)), else the command `nft`: 0.1 ms for a transaction, 2.7 ms by the command."""

import ctypes
import os
import subprocess

LIBRARY = "libnftables.so.1"
SETSIZE = 1024 - 64  # libnftables waits by select(2), which ends the process when its descriptor is 1024 or above


def load() -> ctypes.CDLL | None:
    """None where it is not installed."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = (ctypes.c_uint32,)
    for name in ("output", "error"):
        getattr(library, f"nft_ctx_buffer_{name}").argtypes = (ctypes.c_void_p,)
        getattr(library, f"nft_ctx_get_{name}_buffer").restype = ctypes.c_char_p
        getattr(library, f"nft_ctx_get_{name}_buffer").argtypes = (ctypes.c_void_p,)
    library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    library.nft_ctx_free.argtypes = (ctypes.c_void_p,)
    return library


def transaction(library: ctypes.CDLL | None, text: str) -> str | None:
    """Carries the commands out, all or none; what nftables said when it refused them. Not from two threads at once."""
    if library is not None and _lowest_free() < SETSIZE:
        return _by_library(library, text)
    return _by_command(text)


def listed(command: str) -> tuple[str, str | None]:
    """(what a `list` command shows, what nftables said when it refused it)."""
    library = load()
    if library is None:
        done = subprocess.run(["nft", *command.split()], text=True, capture_output=True, check=False)
        return done.stdout, done.stderr if done.returncode else None
    context = library.nft_ctx_new(0)
    try:
        library.nft_ctx_buffer_output(context)
        error = _carry_out(library, context, command)
        return (library.nft_ctx_get_output_buffer(context) or b"").decode(errors="replace"), error
    finally:
        library.nft_ctx_free(context)


def _by_library(library: ctypes.CDLL, text: str) -> str | None:
    context = library.nft_ctx_new(0)  # a new one each time: it caches the ruleset, which others change too
    try:
        return _carry_out(library, context, text)
    finally:
        library.nft_ctx_free(context)


def _carry_out(library: ctypes.CDLL, context: int, text: str) -> str | None:
    library.nft_ctx_buffer_error(context)
    failed = library.nft_run_cmd_from_buffer(context, text.encode())
    return (library.nft_ctx_get_error_buffer(context) or b"").decode(errors="replace") if failed else None


def _lowest_free() -> int:
    """The number of the next descriptor."""
    fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.close(fd)
    return fd


def _by_command(text: str) -> str | None:
    try:
        done = subprocess.run(["nft", "-f", "-"], input=text, text=True, capture_output=True, check=False)
    except FileNotFoundError:
        return "neither libnftables.so.1 nor the command nft is installed"
    return done.stderr if done.returncode else None
