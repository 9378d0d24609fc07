"""start: the process that waits becomes the command."""

import os
import select
from typing import Final

from orchestr.runtime.oci import state
from orchestr.runtime.oci.options import Call, Command
from orchestr.runtime.seam import RuntimeFailure

_PATIENCE: Final = 10_000  # milliseconds for exec itself: a root on a slow disk


def start(call: Call) -> int:
    go(call.root, call.id)
    return 0


def go(root: str, id: str) -> None:
    """Returns when the command runs, or has ended. RuntimeFailure when it is not the container's turn."""
    lock = state.lock(root, id)
    try:
        _go(root, state.load(root, id))
    finally:
        os.close(lock)


def _go(root: str, found: state.State) -> None:
    if (now := state.status(root, found)) != "created":
        words = "cannot start a container that has stopped" if now == "stopped" else f"it is {now}, not created"
        raise RuntimeFailure(f"cannot start container {found.id}: {words}")
    if not found.config.get("process"):
        raise RuntimeFailure(f"cannot start container {found.id}: its bundle names no process (set /process)")
    path = f"{state.directory(root, found.id)}/exec.fifo"
    watch = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _hooks(root, found, "startContainer", "created")
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.write(fd, b"1")
        os.close(fd)
        _wait(watch)
        os.unlink(path)
        _hooks(root, found, "poststart", "running")
    finally:
        os.close(watch)


def _hooks(root: str, found: state.State, point: str, status: str) -> None:
    """When one fails, the container is destroyed (runtime-spec runtime.md "Lifecycle", 7 and 9)."""
    if not (found.config.get("hooks") or {}).get(point):
        return
    from orchestr.runtime.oci import delete, hooks, listing

    try:
        view = {**listing.view(root, found), "status": status}
        hooks.run(point, found.config, view, pid=found.pid, cgroup=found.cgroup)
    except BaseException:
        delete.destroy(root, found)
        raise


def _wait(watch: int) -> None:
    """The FIFO hangs up when the last writer is gone: the process, which holds it for both ways until exec."""
    poll = select.poll()
    poll.register(watch, 0)  # POLLHUP alone
    poll.poll(_PATIENCE)


COMMANDS: Final = {"start": Command(start, "run the command of a created container", reaches=True)}
