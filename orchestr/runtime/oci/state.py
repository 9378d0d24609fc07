"""What orch-oci knows of a container between calls, so that a kill of the command at any point leaves what delete ends.

ROOT/ID/            made first, by mkdir: of two creates of one id one wins. Its lock (flock) is held while a command
                    changes the container; children hold it too until they close their descriptors.
ROOT/ID/state.json  written before the cgroup is made; always whole.
ROOT/ID/process     the process, once it is there: its pid and start time. A file of its own, for to write ours anew
                    costs ten times as much where its directory lies on a disk (ext4(5), auto_da_alloc).
ROOT/ID/exec.fifo   the FIFO that the process waits on. While something reads it the container is created, not started.
"""

import errno
import fcntl
import os
import time
from contextlib import suppress
from typing import Any, Final, NamedTuple

from orchestr.runtime import cgroups, lean
from orchestr.runtime.seam import RuntimeFailure

PATIENCE: Final = 10.0  # seconds that a command waits for another one on the same container


class State(NamedTuple):
    id: str
    pid: int  # 0 in state.json; else its create is at work, or was killed
    start_time: int  # clock ticks since boot, field 22 of proc(5) stat: tells a reused pid
    bundle: str
    rootfs: str
    cgroup: str
    created: str  # RFC 3339
    config: dict[str, Any]

    @property
    def own_pids(self) -> bool:
        """Has it a pid namespace of its own, so that all ends with its first process?"""
        kinds = (self.config.get("linux") or {}).get("namespaces") or ()
        return any(kind.get("type") == "pid" and not kind.get("path") for kind in kinds)


def directory(root: str, id: str) -> str:
    """RuntimeFailure on an id that would be another place; as with crun, none begins with a dot."""
    if not id or id[0] == "." or not all(c.isascii() and (c.isalnum() or c in "_+-.") for c in id):
        raise RuntimeFailure(
            f"cannot use container ID {id!r}: invalid character in it (letters, digits, '_', '+', '-', '.' only, no '.'"
            " first)"
        )
    return f"{root}/{id}"


def make(root: str, id: str) -> int:
    """Makes the directory and its FIFO; the descriptor is its lock (see `lock`)."""
    path = directory(root, id)
    os.makedirs(root, mode=0o700, exist_ok=True)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError as error:
        raise RuntimeFailure(
            f"cannot create container {id}: container with given ID already exists (delete it first)"
        ) from error
    fd = lock(root, id)
    try:
        os.mkfifo(f"{path}/exec.fifo", 0o600)
    except OSError:
        forget(root, id)
        os.close(fd)
        raise
    return fd


def lock(root: str, id: str, patience: float = PATIENCE) -> int:
    """The descriptor of the container's directory; what is done to the container waits until it is closed.

    RuntimeFailure when there is no such container, or another command has held it longer than `patience` seconds.
    """
    path, deadline, pause = directory(root, id), 0.0, 0.0005
    while True:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise absent(id) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(fd)):
                    return fd
        except BlockingIOError:
            deadline = deadline or time.monotonic() + patience
            if time.monotonic() > deadline:
                os.close(fd)
                raise RuntimeFailure(f"cannot change container {id}: another command is at work on it") from None
            time.sleep(pause)
            pause = min(pause * 2, 0.02)
        os.close(fd)  # deleted, perhaps made anew, while we waited


def locked(root: str, id: str) -> bool:
    fd = os.open(directory(root, id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def absent(id: str) -> RuntimeFailure:
    return RuntimeFailure(f"cannot find container {id}: container does not exist (see orch-oci list)")


def save(root: str, state: State) -> None:
    write(f"{directory(root, state.id)}/state.json", lean.dumps(state._asdict()))


def born(root: str, id: str, pid: int) -> None:
    write(f"{directory(root, id)}/process", f"{pid} {start_time(pid)}")


def _process(path: str) -> tuple[int, int]:
    """(pid, start time) as `born` wrote them; zeros before."""
    try:
        with open(f"{path}/process") as file:
            pid, start = file.read().split()
            return int(pid), int(start)
    except FileNotFoundError:
        return 0, 0


def write(path: str, text: str) -> None:
    """Whole or not at all. Not fsync'd: state lies on a tmpfs, and a pid means nothing after a power cut."""
    new = f"{path}.new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        data = text.encode()
        while data:
            data = data[os.write(fd, data) :]
        os.rename(new, path)
    except OSError:
        with suppress(OSError):
            os.unlink(new)
        raise
    finally:
        os.close(fd)


def load(root: str, id: str) -> State:
    where = directory(root, id)
    path = f"{where}/state.json"
    try:
        with open(path) as file:
            found = State(**lean.loads(file.read()))
        pid, start = _process(where)
        return found._replace(pid=pid, start_time=start)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise absent(id) from error
    except (ValueError, TypeError) as error:
        raise RuntimeFailure(f"cannot read {path}: {error} (orch-oci delete --force {id})") from error


def status(root: str, state: State) -> str:
    """creating, created, running, paused or stopped."""
    if not state.pid:
        return "creating" if locked(root, state.id) else "stopped"
    if start_time(state.pid) != state.start_time:
        return "stopped"
    if waits(root, state.id):
        return "created"
    return "paused" if cgroups.frozen(state.cgroup) else "running"


def waits(root: str, id: str) -> bool:
    """Does the container's process still wait to be started? It has the FIFO open until it becomes the command."""
    try:
        fd = os.open(f"{directory(root, id)}/exec.fifo", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return False
        raise
    os.close(fd)
    return True


def start_time(pid: int) -> int:
    """-1 when there is no such process, or it has ended and waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return -1
    return -1 if fields[0] in ("Z", "X") else int(fields[19])


def cgroup(found: State) -> str:
    """RuntimeFailure when it has none."""
    if found.cgroup:
        return found.cgroup
    raise RuntimeFailure(
        f"cannot use the cgroup of container {found.id}: it has none (its user may make none: have one delegated)"
    )


def living(root: str, id: str) -> int:
    """The pid of the container's process, 0 when that has ended, or there is no such container."""
    try:
        found = load(root, id)
    except RuntimeFailure:
        return 0  # the command words that
    return found.pid if found.pid and start_time(found.pid) == found.start_time else 0


def open_process(state: State) -> int:
    """A pidfd of the container's process, -1 when that has ended."""
    if not state.pid:
        return -1
    try:
        fd = os.pidfd_open(state.pid)
    except OSError as error:
        # EINVAL, of older kernels: all that is left is the number, which others have as their session or group.
        if error.errno in (errno.ESRCH, errno.EINVAL):
            return -1
        raise
    if start_time(state.pid) == state.start_time:  # asked after the pidfd was opened: it is this one's
        return fd
    os.close(fd)
    return -1


def forget(root: str, id: str) -> None:
    """state.json goes first: what is left without it is nobody's, and deleted as such."""
    path = directory(root, id)
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(path), key="state.json".__ne__):
            os.unlink(f"{path}/{name}")
        os.rmdir(path)


def ids(root: str) -> list[str]:
    """Those with a state."""
    try:
        return sorted(id for id in os.listdir(root) if os.path.exists(f"{root}/{id}/state.json"))
    except FileNotFoundError:
        return []
