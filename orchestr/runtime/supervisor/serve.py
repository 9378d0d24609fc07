"""The supervisor's main: detaches, takes over what is there, serves.

Started by SupervisedRuntime. It forks at once and its parent exits: init inherits it. When it serves, it writes
"ready" to FD; before that, the text of what stopped it. A second one in the same directory finds the lock taken and
leaves.
"""

import fcntl
import gc
import os
import resource
import signal
import socket
from contextlib import suppress

from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.supervisor import volatile
from orchestr.runtime.supervisor.exits import boot_id
from orchestr.runtime.supervisor.loop import Loop
from orchestr.runtime.supervisor.records import Records
from orchestr.runtime.supervisor.server import Server

_FILES = 1 << 16  # descriptors: a container takes up to eight
_ENV = ("PATH", "LANG", "LC_ALL", "TZ")  # what it keeps: nothing that a daemon's caller exported by accident


def main(arguments: list[str]) -> None:
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    run, ready = options["--run"], int(options["--ready"])
    if os.fork():
        os._exit(0)
    os.setsid()
    try:
        serve(run, ready)
    except (OSError, RuntimeFailure) as error:
        os.write(ready, f"cannot start the supervisor in {run}: {error}".encode()[:4096])
        raise


def serve(run: str, ready: int) -> None:
    os.umask(0o022)
    os.makedirs(run, mode=0o700, exist_ok=True)
    lock = os.open(f"{run}/supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # POSIX: no child inherits it
    except OSError:
        os.write(ready, b"running")
        return
    os.truncate(lock, 0)
    os.write(lock, b"%d\n" % os.getpid())
    _detach(run, ready, lock)
    volatile.mount(run)
    loop = Loop()
    listener = _listen(f"{run}/supervisor.sock")
    Server(loop, Records(run, boot_id()), listener, lambda: _clear(run)).start()
    gc.collect()
    gc.freeze()
    gc.disable()  # no cycles are made here; a collection would copy pages that every child shares
    os.write(ready, b"ready")
    os.close(ready)
    loop.run()


def _detach(run: str, ready: int, lock: int) -> None:
    """Nothing of whoever called: descriptors, directory, signals, environment."""
    keep = sorted((ready, lock))
    log = os.open(f"{run}/supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    null = os.open(os.devnull, os.O_RDWR)
    for target, fd in ((0, null), (1, log), (2, log)):
        os.dup2(fd, target)
    below = 3
    for fd in keep:
        os.closerange(below, fd)
        below = fd + 1
    os.closerange(below, _FILES)
    os.set_inheritable(ready, False)
    os.chdir("/")
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    for name in [name for name in os.environ if name not in _ENV]:
        del os.environ[name]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES), hard))
    with suppress(PermissionError), open("/proc/self/oom_score_adj", "w") as file:  # needs CAP_SYS_RESOURCE
        file.write("-999")


def _listen(place: str) -> socket.socket:
    with suppress(FileNotFoundError):
        os.unlink(place)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(place)
    os.chmod(place, 0o600)
    listener.listen(64)
    return listener


def _clear(run: str) -> None:
    """Takes away everything of ours in the run directory; the directory itself may hold others' files."""
    volatile.unmount(run)
    for name in ("containers", "sandboxes"):
        os.rmdir(f"{run}/{name}")
    for name in ("supervisor.sock", "supervisor.log", "supervisor.lock"):
        os.unlink(f"{run}/{name}")
