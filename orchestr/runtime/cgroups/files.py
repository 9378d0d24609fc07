"""Reading and writing cgroup files. A limit that cannot be written names the file and what was written."""

import errno
import os

from orchestr.runtime.seam import RuntimeFailure


def write(path: str, value: str) -> None:
    """RuntimeFailure when the kernel refuses; it takes each write as a whole."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    except OSError as error:
        hint = "is the controller mounted, and the value in range?"
        if error.errno == errno.ENOENT:
            hint = "the kernel has no such file"
        raise RuntimeFailure(
            f"cannot set {path} to {value!r}: {error.strerror} ({hint})", reason="StartError"
        ) from error


def read(path: str, default: str = "") -> str:
    """`default` when there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return default
    try:
        return os.read(fd, 65536).decode()
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
