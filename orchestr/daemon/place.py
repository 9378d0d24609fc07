"""The directories of an instance, and the lock that keeps a second daemon out of them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from orchestr.instance import LOCK, Instance


class CannotStart(Exception):
    """The daemon cannot run here. Text as "cannot VERB OBJECT: CAUSE (WHAT TO DO)"."""


@contextmanager
def held(instance: Instance, group: int | None) -> Iterator[None]:
    """Makes the directories, 0700 (the run directory 0710 for the group that may use the socket), and locks both.

    CannotStart names the process that holds them.
    """
    with ExitStack() as stack:
        for directory in (instance.state, instance.run):
            _make(directory)
            stack.callback(os.close, _lock(directory, instance))
        if group is not None:
            os.chown(instance.run, 0, group)
            os.chmod(instance.run, 0o710)
        yield


def _make(directory: str) -> None:
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        os.chmod(directory, 0o700)
    except OSError as error:
        raise CannotStart(f"cannot use {directory}: {error.strerror} (be root, or give --state and --run)") from error


def _lock(directory: str, instance: Instance) -> int:
    path = os.path.join(directory, LOCK)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        stop = f"orch --instance {instance.name} system stop" if instance.name else "orch system stop"
        raise CannotStart(
            f"cannot start: the daemon with pid {holder} uses {directory} ({stop}, or use another --instance)"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return descriptor
