"""What a caller hands in and gets back: descriptors to keep, the terminal's master end, a pidfd, a pid file."""

import os

from orchestr.runtime.oci import state
from orchestr.runtime.oci.options import Call
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.spawn import Launched


def listening() -> int:
    """How many sockets a socket-activating caller hands on, 0 when none are meant for us."""
    text = os.environ.get("LISTEN_FDS", "")
    return int(text) if text.isascii() and text.isdigit() else 0


def preserved(call: Call) -> int:
    """The number of descriptors from 3 on that go to the process. RuntimeFailure on what is no such number."""
    count = call.number("preserve-fds") + listening()
    if count < 0:
        raise RuntimeFailure("cannot use --preserve-fds: less than none")
    return count


def fill(count: int) -> None:
    """Takes the numbers among 3 to 3+`count`-1 that are not open, before anything of ours gets one and is kept with it.

    They are closed to the container, as they were to us; runc refuses such a gap, crun does not.
    """
    if not count:
        return
    fd = -1
    try:
        while fd < 3 + count:
            fd = os.open("/", os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise RuntimeFailure(f"cannot preserve {count} descriptors: {error.strerror} (see --preserve-fds)") from error
    os.close(fd)


def check(call: Call, tty: bool, *, attached: bool) -> None:
    """Before anything is made. `attached`: the caller stays until the process ends."""
    socket = call.text("console-socket")
    if tty and not socket and not attached:
        raise RuntimeFailure("cannot allocate tty if runc will detach without setting console socket")
    if socket and (not tty or attached):
        raise RuntimeFailure("cannot use console socket if runc will not detach or allocate tty")
    if path := call.text("pid-file"):
        place = os.path.dirname(path) or "."
        if not os.path.isdir(place):
            raise RuntimeFailure(f"cannot write pid file {path}: no such file or directory")
    fill(preserved(call))


def plain(*, attached: bool) -> bool:
    """Who reads the terminal's master from us is a pipe or a file: the ends of lines are not made for a screen."""
    return attached and not (os.isatty(0) and os.isatty(1))


def give(call: Call, launched: Launched, *, attached: bool) -> int:
    """Terminal and pidfd to their sockets, then the pid to its file; the terminal's master when it is ours, else -1."""
    console = launched.console
    if console >= 0 and not attached:
        send(call.text("console-socket"), console, b"/dev/ptmx")
        os.close(console)
        console = -1
    if path := call.text("pidfd-socket"):
        send(path, launched.pidfd, b"pidfd")
    if path := call.text("pid-file"):
        state.write(path, str(launched.pid))
    return console


def send(path: str, fd: int, name: bytes) -> None:
    """To a stream socket; relative paths and those too long for sun_path are reached through its directory."""
    import _socket  # the module `socket` costs 3 ms
    import array

    end = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    directory = -1
    try:
        if len(os.fsencode(path)) > 107:
            directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            path = f"/proc/self/fd/{directory}/{os.path.basename(path)}"
        end.connect(path)
        end.sendmsg([name], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [fd]))])
    except OSError as error:
        why = error.strerror or error
        raise RuntimeFailure(f"cannot send to socket {path}: {why} (is somebody listening?)") from error
    finally:
        end.close()
        if directory >= 0:
            os.close(directory)
