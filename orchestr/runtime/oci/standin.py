"""A machine on which nothing happens: the calls by which a launch changes something are noted, not made.

What only looks (openat2 and open for reading, stat) is made, so that users are found in the image as ever. A call that
would give a descriptor gives a real one that can be looked at, but changes nothing: O_PATH on what was named, or on /.
For `orch-oci plan`; the launch's own code knows nothing of it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple

from orchestr.runtime import cgroups, copyup, decode, devices, idmapped, namespaces, spawn
from orchestr.runtime import syscalls as sc
from orchestr.runtime.oci import filters
from orchestr.runtime.plan import Outcome, Plan
from orchestr.runtime.steps import Step

GATE: Final = "gate"  # name of the memfd that stands for the FIFO of a container that waits for its start
_OPENING: Final = ("open_tree", "fsopen", "fsmount", "clone3", "pidfd_open")


class Line(NamedTuple):
    """One system call. `result` is "d1" for a descriptor of the parent, "r1" for one of a child."""

    call: str
    args: list[str]
    result: str = ""
    what: str = ""
    where: str = ""
    notes: tuple[str, ...] = ()


class Child(NamedTuple):
    name: str
    flags: str  # of clone3(2)
    lines: list[Line]


class _Reached(BaseException):
    """The command would run now."""


class StandIn:
    def __init__(self) -> None:
        self.parent: list[Line] = []
        self.children: list[Child] = []
        self._names: dict[int, str] = {}
        self._count = 0
        self._nodes: dict[str, int] = {}

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """In its body `launch.start` ends where the command would have been run."""
        replaced = [(owner, name, getattr(owner, name), other) for owner, name, other in self._replaced()]
        for owner, name, _, other in replaced:
            setattr(owner, name, other)
        try:
            with suppress(_Reached):
                yield
        finally:
            for owner, name, real, _ in replaced:
                setattr(owner, name, real)
            for fd in self._nodes.values():
                os.close(fd)

    def _replaced(self) -> list[tuple[Any, str, Any]]:
        return [
            (sc, "call", self._call),
            (os, "open", self._open),
            (os, "close", self._close),
            (os, "write", lambda fd, data: self._note("write", [self.name(fd), decode.quoted(data)], len(data))),
            (os, "mkdir", lambda path, *more, **other: self._note("mkdir", [decode.quoted(path)], None)),
            (os, "fchown", lambda fd, *ids: self._note("fchown", [self.name(fd), *map(str, ids)], None)),
            (os, "waitpid", lambda pid, options: (pid, 0) if pid == os.getpid() else _really_wait(pid, options)),
            (filters, "prepare", lambda config: None),
            (namespaces, "run", self._run_namespaces),
            (spawn, "run", self._run),
            (devices, "_host_nodes", self._nodes),
            (idmapped, "run", self._run_namespaces),
            (copyup, "_copy", lambda source, target: self._note("copy", [self.name(source), self.name(target)], None)),
            *((os, name, self._changing(name)) for name in ("chmod", "chown", "mknod")),
        ]

    def _changing(self, name: str) -> Any:
        def note(path: Any, *args: Any, dir_fd: int | None = None, **_: Any) -> None:
            where = [self.name(path)] if isinstance(path, int) else [decode.quoted(path)]
            self._note(name, [*([self.name(dir_fd)] if dir_fd is not None else []), *where, *map(str, args)], None)

        return note

    def name(self, fd: int) -> str:
        """d1, d2 for what was opened here; what else it is, from /proc."""
        if fd not in self._names:
            kind = _really_read(fd)
            self._names[fd] = next((word for word in ("pipe", "socket", GATE) if word in kind[:12]), kind)
        return self._names[fd]

    def _note(self, call: str, args: list[str], result: Any) -> Any:
        self.parent.append(Line(call, args))
        return result

    def _opened(self, call: str, args: list[str], fd: int) -> int:
        self._count += 1
        self._names[fd] = f"d{self._count}"
        self.parent.append(Line(call, args, self._names[fd]))
        return fd

    def _call(self, name: str, *args: sc.Arg) -> int:
        _, shown = decode.call(Step("", "", sc.NR[name], args), self.name)
        if name == "openat2":
            return self._opened(name, shown, _really_call(name, *args))
        if name not in _OPENING:
            self.parent.append(Line(name, shown))
            return 0
        path = args[1] if name == "open_tree" and isinstance(args[1], bytes) else b"/"
        base = args[0] if name == "open_tree" and isinstance(args[0], int) and args[0] >= 0 else None
        return self._opened(name, shown, _look(base, path))

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        absent = (flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and not flags & os.O_PATH) or self._in_cgroup(path)
        fd = _look(None, b"/") if absent else _really_open(path, flags, mode, dir_fd=dir_fd)
        base = [self.name(dir_fd)] if dir_fd is not None else []
        named = os.fsdecode(path).replace(f"/proc/{os.getpid()}/", "/proc/CHILD/")
        return self._opened("open", [*base, decode.quoted(named), decode.open_flags(flags)], fd)

    def _in_cgroup(self, path: Any) -> bool:
        """The container's, which nobody has made."""
        found = cgroups.layout()
        return os.fsdecode(path).startswith(tuple(f"{base}/" for base in (found.v2, *found.v1.values()) if base))

    def _close(self, fd: int) -> None:
        self._names.pop(fd, None)
        _really_close(fd)

    def _children(self, plan: Plan, kind: str) -> None:
        first = kind if plan.flags == -1 else "outside: joins what is given"
        lines = plan.outside + plan.inside if plan.flags == -1 else plan.outside
        self.children.append(Child(first, decode.clone_flags(plan.first), self._lines(lines)))
        if plan.flags != -1:
            flags = decode.clone_flags(plan.flags | sc.CLONE_PARENT)
            self.children.append(Child("inside: becomes the container's process", flags, self._lines(plan.inside)))

    def _lines(self, steps: tuple[Step, ...]) -> list[Line]:
        found: list[Line] = []
        own: set[int] = set()  # numbers that the child gave itself
        for index, step in enumerate(steps):
            call, args = decode.call(step, lambda fd: str(fd) if fd in own else self.name(fd))
            if call == "dup3" and isinstance(step.args[1], int):
                own.add(step.args[1])
            result = f"r{step.slot}" if step.slot >= 0 else ""
            found.append(Line(call, args, result, step.what, step.where, tuple(decode.notes(step, index))))
        return found

    def _run_namespaces(self, plan: Plan, pipe: tuple[int, int], *, meanwhile: Any = None, **_: Any) -> Outcome:
        self._children(plan, "namespaces: the first process of them")
        for fd in pipe:
            _really_close(fd)
        if meanwhile is not None:
            meanwhile(os.getpid())
        return Outcome(os.getpid(), None)

    def _run(self, plan: Plan, pipe: tuple[int, int], **_: Any) -> Outcome:
        self._children(plan, "child")
        for fd in pipe:
            _really_close(fd)
        raise _Reached


_really_open, _really_close, _really_wait, _really_call = os.open, os.close, os.waitpid, sc.call


def _really_read(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return "closed"


def _look(base: int | None, path: bytes) -> int:
    """A descriptor that changes nothing, on the file if it is there."""
    if base is not None and not path:
        return os.dup(base)
    for name, directory in ((path, base), (b"/", None)):
        with suppress(OSError):
            return _really_open(name, sc.O_PATH, dir_fd=directory)
    raise AssertionError("no root directory")
