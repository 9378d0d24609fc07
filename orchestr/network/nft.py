"""nftables transactions: libnftables in process, else one `nft -f -` per change.

A transaction is a text of commands that the kernel carries out whole or not at all. 0.1 ms in process, 2.7 ms by `nft`.
"""

import ctypes
import os
import subprocess
import threading

from orchestr.network.seam import NetworkFailure

LIBRARY = "libnftables.so.1"
SETSIZE = 1024 - 64  # libnftables waits by select(2), which ends the process when its descriptor is 1024 or above


class Nft:
    """Blocks; one transaction at a time, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._library = _load()

    def run(self, text: str) -> None:
        """Carries out the commands. NetworkFailure with what nftables said, and then nothing has changed."""
        with self._lock:
            in_process = self._library is not None and _lowest_free() < SETSIZE
            said = _by_library(self._library, text) if self._library and in_process else _by_command(text)
        if said is not None:
            reason = next((line for line in said.splitlines() if line), "no reason given")
            raise NetworkFailure(f"cannot change nftables: {reason} (see `nft list tables`; Linux 6.1 is needed)")


def listed(command: str) -> str:
    """What a `list` command shows. NetworkFailure."""
    library = _load()
    if library is None:
        done = subprocess.run(["nft", *command.split()], text=True, capture_output=True, check=False)
        out, error = done.stdout, done.stderr if done.returncode else None
    else:
        context = library.nft_ctx_new(0)
        try:
            library.nft_ctx_buffer_output(context)
            error = _carry_out(library, context, command)
            out = (library.nft_ctx_get_output_buffer(context) or b"").decode(errors="replace")
        finally:
            library.nft_ctx_free(context)
    if error is not None:
        raise NetworkFailure(f"cannot read nftables: {error.strip() or 'no reason given'} (see `nft {command}`)")
    return out


def _load() -> ctypes.CDLL | None:
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
