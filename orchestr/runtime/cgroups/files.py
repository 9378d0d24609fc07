"""Reading and writing cgroup files. What cannot be set is told by JSON pointer, file and the kernel's reason."""

import errno
import os
from collections.abc import Iterable
from typing import Final, NamedTuple

from orchestr.runtime.seam import RuntimeFailure

_HINTS: Final = {
    errno.ENOENT: "the kernel has no such file; leave it out",
    errno.EINVAL: "is the value in range, and within what the parent cgroup allows?",
    errno.EBUSY: "more is in use than that",
    errno.EACCES: "is the cgroup filesystem mounted read-only?",
    errno.EPERM: "the parent cgroup does not allow it",
    errno.ENODEV: "there is no such device",
    errno.ERANGE: "the value is out of range",
}


class Setting(NamedTuple):
    """One write. The kernel takes it as a whole or not at all."""

    pointer: str  # below /linux/resources: "memory/limit"
    file: str
    value: str
    optional: bool = False  # a file that is missing means the same


def write(path: str, value: str) -> None:
    """OSError when the kernel refuses."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def must_write(path: str, value: str) -> None:
    """RuntimeFailure when the kernel refuses."""
    try:
        write(path, value)
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "is the controller mounted, and the value in range?")
        raise RuntimeFailure(
            f"cannot set {path} to {value!r}: {error.strerror} ({hint})", reason="StartError"
        ) from error


def apply(directory: str, settings: Iterable[Setting]) -> None:
    """Writes all, in turn. RuntimeFailure with the first that never succeeded.

    The kernel checks some against each other (quota and period, memory and memory+swap, real-time runtime and period),
    old against new: what is refused is tried again as long as another one went through.
    """
    waiting = list(settings)
    while waiting:
        refused = list[tuple[Setting, OSError]]()
        for setting in waiting:
            try:
                write(f"{directory}/{setting.file}", setting.value)
            except OSError as error:
                if not (setting.optional and error.errno == errno.ENOENT):
                    refused.append((setting, error))
        if len(refused) == len(waiting):
            raise failure(directory, *refused[0]) from refused[0][1]
        waiting = [setting for setting, _ in refused]


def failure(directory: str, setting: Setting, error: OSError) -> RuntimeFailure:
    hint = _HINTS.get(error.errno or 0, "is the value in range?")
    if error.errno == errno.EBUSY and setting.pointer.startswith("memory/"):
        usage = number(f"{directory}/memory.usage_in_bytes")
        hint = f"{usage} bytes are in use" if usage is not None else hint
    return RuntimeFailure(
        f"cannot set /linux/resources/{setting.pointer} to {setting.value!r}: {error.strerror} "
        f"at {directory}/{setting.file} ({hint})",
        reason="StartError",
    )


def read(path: str, default: str = "") -> str:
    """`default` when there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return default
    try:
        first = os.read(fd, 65536)
        if len(first) < 2048:  # a read stops short of a page only at the end, or where a record does not fit
            return first.decode()
        parts = [first]
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts).decode()
    except OSError as error:
        if error.errno == errno.ENODEV:  # removed meanwhile
            return default
        raise
    finally:
        os.close(fd)


def number(path: str) -> int | None:
    """None for "max" and for no such file."""
    text = read(path).strip()
    return int(text) if text.lstrip("-").isdigit() else None


def fields(path: str) -> dict[str, int]:
    """A flat keyed file: `oom_kill 1`."""
    pairs = (line.split() for line in read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
