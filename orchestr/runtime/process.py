"""OCI `process` as steps: terminal, stdio, limits, identity, capabilities, seccomp, and the search for the command."""

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from orchestr.runtime import capabilities, targets
from orchestr.runtime import syscalls as sc
from orchestr.runtime.plan import Builder, Result
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.signals import ignored
from orchestr.runtime.users import User

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PIPE: Final = 3  # where the parent's pipe is moved to before everything above it is closed; preserved ones come first
INIT: Final = 4
HIGH: Final = 20  # descriptors that the child moves to 0-4 are kept above this, and above preserved ones
_ALL: Final = 2**64 - 1

_RLIMITS: Final = tuple(
    ("CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME").split()  # noqa: SIM905
)
_TIOCSPTLCK, _TIOCGPTPEER, _TIOCSCTTY, _TIOCSWINSZ = 0x40045431, 0x5441, 0x540E, 0x5414
_TCSETS: Final = 0x5402
# struct termios of a new terminal (the kernel's tty_std_termios), but for ONLCR: OPOST alone is set of the second.
_PLAIN: Final = struct.pack(
    "4Ib19s", 0x500, 0x1, 0xBF, 0x8A3B, 0, bytes((3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22))
)
_X_OK, _AT_EACCESS = 1, 0x200
_NOT_HERE: Final = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)
_ENDING: Final = (1, 2, 3, 15)  # SIGHUP, SIGINT, SIGQUIT, SIGTERM
_SA_RESTORER: Final = 0x04000000  # without it x86 delivers nothing
Find = Callable[[], None]
Load = Callable[[], None]


class Terminal(NamedTuple):
    socket: int  # the child sends the master through it
    master: int  # the number that the master gets before it is sent: a descriptor that the child can do without
    console: bool  # bind the slave to /dev/console
    plain: bool = False  # lines end in "\n" for who reads the master, as in runc: a pipe or a file may be what he has


class Keep(list[object]):
    """Buffers whose addresses stand in steps; to be kept until the launch is over."""

    def address(self, data: bytes) -> int:
        buffer = ctypes.create_string_buffer(data, len(data))
        self.append(buffer)
        return ctypes.addressof(buffer)

    def strings(self, items: Sequence[str]) -> int:
        """A char*[] with a NULL at the end."""
        for item in items:
            if "\0" in item:
                raise RuntimeFailure(f"cannot pass {item!r} to a process: it has a NUL in it", reason="StartError")
        array = (ctypes.c_char_p * (len(items) + 1))(*(os.fsencode(item) for item in items), None)
        self.append(array)
        return ctypes.addressof(array)


def _rlimits(process: Mapping[str, Any]) -> Iterator[tuple[str, int, int, int]]:
    """(name, number, soft, hard)"""
    for item in process.get("rlimits") or ():
        name = str(item["type"])
        if name.removeprefix("RLIMIT_") not in _RLIMITS:
            raise RuntimeFailure(f"cannot set {name}: no such limit (see prlimit(2))", reason="StartError")
        yield name, _RLIMITS.index(name.removeprefix("RLIMIT_")), int(item["soft"]) & _ALL, int(item["hard"]) & _ALL


def raise_limits(b: Builder, process: Mapping[str, Any]) -> None:
    """Outside, while still root of the machine: only there may a hard limit be raised.

    Lowering comes last, in `limit`, lest a small limit hits our own steps.
    """
    for name, number, _, hard in _rlimits(process):
        soft_now, hard_now = _limits(number)
        if hard > hard_now:
            b.add(f"raise {name}", "the process", "prlimit64", 0, number, struct.pack("QQ", soft_now, hard), 0)


def _limits(number: int) -> tuple[int, int]:
    """Ours, soft and hard: by the call, for the module `resource` costs a command a quarter of a millisecond."""
    now = ctypes.create_string_buffer(16)
    sc.raw(sc.NR["prlimit64"], 0, number, 0, ctypes.addressof(now), 0, 0)  # not sc.call: it is no step of a plan
    soft, hard = struct.unpack("QQ", now.raw)
    return soft, hard


def oom_score(b: Builder, process: Mapping[str, Any]) -> None:
    """Outside: its file lies in the machine's /proc."""
    score = process.get("oomScoreAdj")
    if score is not None:
        path = b"/proc/self/oom_score_adj"
        fd = b.keep("open oom_score_adj", "the process", "openat", sc.AT_FDCWD, path, os.O_WRONLY | os.O_CLOEXEC, 0)
        text = b"%d" % int(score)
        b.add("set oom_score_adj", "the process", "write", fd, text, len(text))
        b.add("close oom_score_adj", "the process", "close", fd)


def limit(b: Builder, process: Mapping[str, Any]) -> None:
    for name, number, soft, hard in _rlimits(process):
        b.add(f"set {name}", "the process", "prlimit64", 0, number, struct.pack("QQ", soft, hard), 0)


def terminal(b: Builder, root: int | Result, keep: Keep, tty: Terminal, user: User, size: tuple[int, int]) -> Result:
    """A pty of the container's own devpts; the slave by TIOCGPTPEER, never by path (CVE-2025-52565)."""
    flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK
    resolve = sc.INSIDE | sc.RESOLVE_NO_SYMLINKS
    where = "/dev/pts"
    master = targets.open_existing(b, root, "/dev/pts/ptmx", "open a pty", flags=flags, resolve=resolve)
    b.add("unlock the pty", where, "ioctl", master, _TIOCSPTLCK, struct.pack("i", 0))
    slave = b.keep("open the pty's slave", where, "ioctl", master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    if size != (0, 0):
        b.add("set the size of the pty", where, "ioctl", slave, _TIOCSWINSZ, struct.pack("4H", *size, 0, 0))
    if tty.plain:
        b.add("set the modes of the pty", where, "ioctl", slave, _TCSETS, _PLAIN)
    b.add("give the pty to the user", where, "fchown", slave, user.uid, 2**32 - 1)
    if tty.console:
        how = (sc.OPEN_TREE_CLONE | sc.OPEN_TREE_CLOEXEC) | sc.AT_EMPTY_PATH
        console = b.keep("clone the pty", "/dev/console", "open_tree", slave, b"", how)
        target = targets.open_or_make(b, root, "/dev/console", "mount the console", directory=False)
        b.add("attach the pty", "/dev/console", "move_mount", console, b"", target, b"", sc.MOVE_MOUNT_EMPTY)
    b.add("number the pty", where, "dup3", master, tty.master, os.O_CLOEXEC)
    b.add("send the pty", where, "sendmsg", tty.socket, message(keep, tty.master), 0)
    return slave


def message(keep: Keep, fd: int) -> bytes:
    """struct msghdr with one byte and one descriptor (SCM_RIGHTS)."""
    iovec = keep.address(struct.pack("QQ", keep.address(b"t"), 1))
    control = struct.pack("Qiii4x", 20, 1, 1, fd)  # cmsg_len, SOL_SOCKET, SCM_RIGHTS
    return struct.pack("QIxxxxQQQQi4x", 0, 0, iovec, 1, keep.address(control), len(control), 0)


def pause(b: Builder, pipe: int, go: tuple[int, int]) -> None:
    """Tells the parent (plan.run's `paused`), and goes on when it has written a byte to `go`; ends when it has died."""
    b.add("leave the other end", "", "close", go[1])
    b.add("report", "", "write", pipe, b"p", 1)
    got = b.keep("wait for the hooks", "", "read", go[0], bytes(8), 1)
    b.add("have the hooks", "", "prctl", got, 0, 0, 0, 0)  # prctl(0) fails, prctl(1) is PR_SET_PDEATHSIG to none


def session(b: Builder, stdio: Sequence[int | Result], *, tty: bool, keyring: bool = True) -> None:
    if keyring:
        # Not tolerated: EDQUOT. A user who has used up his keys would get the caller's keyring, with what is in it.
        b.add("join a session keyring", "the process", "keyctl", 1, None, tolerate=(errno.ENOSYS,))
    b.add("start a session", "the process", "setsid", tolerate=(errno.EPERM,))
    for number, fd in enumerate(stdio):
        b.add("set stdio", "the process", "dup3", fd, number, 0)
    if tty:
        b.add("take the terminal", "the process", "ioctl", 0, _TIOCSCTTY, 0)


def identity(b: Builder, process: Mapping[str, Any], user: User, load: Load | None, find: Find) -> None:
    """From the container's root with all capabilities to the process's user with just its own; seccomp last.

    A filter is loaded after all that is not itself needed to go on, for it need not allow our calls. Without
    no_new_privs loading it needs CAP_SYS_ADMIN: that is kept until then, and only the last of the capabilities'
    steps come after it, as in runc. `load` loads the filter, if there is one; `find` looks for the command with the
    process's own rights.
    """
    sets = process.get("capabilities") or {}
    no_new_privs = bool(process.get("noNewPrivileges"))
    if no_new_privs:
        b.add("set no_new_privs", "the process", "prctl", sc.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    capabilities.bound(b, capabilities.mask(sets.get("bounding") or ()))
    groups = struct.pack(f"{len(user.groups)}I", *user.groups)
    # An ordinary user who maps himself alone may not change groups (user_namespaces(7)): none is all he can ask for.
    tolerate = () if user.groups else (errno.EPERM,)
    if not user.keep:
        b.add("set groups", "the process", "setgroups", len(user.groups), groups, tolerate=tolerate)
    b.add("set gid", "the process", "setresgid", user.gid, user.gid, user.gid)
    b.add("keep capabilities", "the process", "prctl", sc.PR_SET_KEEPCAPS, 1, 0, 0, 0)
    b.add("set uid", "the process", "setresuid", user.uid, user.uid, user.uid)
    b.add("set umask", "the process", "umask", int((process.get("user") or {}).get("umask", 0o022)))
    signals(b)
    if load and not no_new_privs:
        capabilities.apply(b, sets, still=capabilities.SYS_ADMIN)
        find()
        load()
        capabilities.apply(b, sets)
        capabilities.raise_ambient(b, sets)
        return
    capabilities.apply(b, sets)
    capabilities.raise_ambient(b, sets)
    find()
    if load:
        load()


def signals(b: Builder) -> None:
    """What this process ignores (Python: SIGPIPE, SIGXFSZ) or blocks, the container must not."""
    for number in ignored():
        b.add("reset signals", "the process", "rt_sigaction", number, bytes(32), None, 8)
    b.add("unblock signals", "the process", "rt_sigprocmask", 2, bytes(8), None, 8)


def end_by_signals(b: Builder) -> None:
    """While it waits the process ends by these, even as the first of its pid namespace, which the kernel else keeps.

    exec makes them the default again. The handler is _exit(2), with the signal's number.
    """
    end = ctypes.cast(ctypes.CDLL(None)._exit, ctypes.c_void_p).value or 0
    action = struct.pack("QQQQ", end, _SA_RESTORER, end, 0)
    for number in _ENDING:
        b.add("end by signals", "the process", "rt_sigaction", number, action, None, 8)


def close_all(b: Builder, pipe: int, init: int, preserve: int = 0, listener: int = -1) -> int:
    """Leaves 0-2, then `preserve` more, and what exec closes (CVE-2024-21626): the pipe, the init program, a listener's
    socket. The number of the last one comes back.
    """
    number = PIPE + preserve
    b.add("keep the pipe", "the process", "dup3", pipe, number, os.O_CLOEXEC)
    for what, fd in (("init program", init), ("listener's socket", listener)):
        if fd >= 0:
            number += 1
            b.add(f"keep the {what}", "the process", "dup3", fd, number, os.O_CLOEXEC)
    b.add("close descriptors", "the process", "close_range", number + 1, 2**32 - 1, 0)
    return number


def environment(process: Mapping[str, Any], user: User) -> list[str]:
    """The process's own, the last of each name; HOME is the user's when it is missing or empty, as in runc."""
    env = {text.partition("=")[0]: text for text in map(str, process.get("env") or ())}
    if env.get("HOME", "HOME=") == "HOME=":
        env["HOME"] = f"HOME={user.home or '/'}"
    return list(env.values())


def candidates(command: str, env: Sequence[str]) -> list[str]:
    """Where execvp(3) would look."""
    if "/" in command:
        return [command]
    path = next((item[5:] for item in reversed(env) if item.startswith("PATH=")), DEFAULT_PATH)
    return [f"{directory or '.'}/{command}" for directory in path.split(":")]


def wait(b: Builder, keep: Keep, preserve: int) -> None:
    """The parent is told that all went well; goes on once a byte can be read from INIT's descriptor."""
    b.add("report", "the process", "close", PIPE + preserve)
    b.add("wait for the start", "the process", "read", INIT + preserve, keep.address(bytes(8)), 1)


class Command:
    """What to run, and where it may be. RuntimeFailure when there is none."""

    def __init__(
        self,
        b: Builder,
        keep: Keep,
        process: Mapping[str, Any],
        env: Sequence[str],
        *,
        path: str = "",
        preserve: int = 0,
    ) -> None:
        self.args = [str(arg) for arg in process.get("args") or ()]
        if not self.args or not self.args[0]:
            raise RuntimeFailure(
                "cannot start a container without a command (set command or args)", reason="StartError"
            )
        self._b, self._keep, self._env = b, keep, keep.strings(env)
        self._preserve = preserve
        command = path or self.args[0]
        self._what, self._places = repr(command), candidates(command, env)

    def find(self) -> None:
        """Fails when it is nowhere, as its execution would. Nothing is run here, whatever appears meanwhile."""
        b, where = self._b, self._what
        for index, place in enumerate(self._places):
            path, rest = os.fsencode(place), 2 * (len(self._places) - 1 - index)
            b.add("find", where, "faccessat2", sc.AT_FDCWD, path, _X_OK, _AT_EACCESS, tolerate=_NOT_HERE, missing=1)
            # A directory passes that test; what is none cannot be opened as one.
            flags = sc.O_PATH | os.O_DIRECTORY
            b.add("find", where, "openat", sc.AT_FDCWD, path, flags, 0, tolerate=(errno.ENOTDIR,), missing=rest + 1)
        # Never succeeds: a directory cannot be opened for writing (EISDIR), the rest says why it is not one.
        flags = os.O_RDWR | os.O_DIRECTORY | os.O_CLOEXEC
        b.add("find", where, "openat", sc.AT_FDCWD, os.fsencode(self._places[-1]), flags, 0)

    def run(self, *, alone: bool = False) -> None:
        """Tries each place in turn. `alone`: nobody waits for an error any more, so that stderr has to have it."""
        argv = self._keep.strings(self.args)
        for place in self._places:
            last = (errno.ENOENT,) if alone else ()
            tolerate = last if place == self._places[-1] else _NOT_HERE
            self._b.add("run", self._what, "execve", os.fsencode(place), argv, self._env, tolerate=tolerate)
        if alone:  # found before: so it is a script, and what its first line names is missing
            text = f"exec {self._what[1:-1]}: no such file or directory\n".encode()
            self._b.add("report", "the process", "write", 2, text, len(text))
            self._b.add("run", self._what, "execve", os.fsencode(self._places[-1]), argv, self._env)

    def run_below_init(self) -> None:
        """The init searches again."""
        argv = self._keep.strings(["init", "--", *self.args])
        init = INIT + self._preserve
        self._b.add("run", "the init program", "execveat", init, b"", argv, self._env, sc.AT_EMPTY_PATH)
