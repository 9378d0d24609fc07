"""The steps of a launch as data, and who collects them."""

from typing import NamedTuple

from orchestr.runtime.syscalls import NR, Arg


class Result(NamedTuple):
    """Stands for the value that a named step will have returned: a descriptor, mostly."""

    slot: int


class Step(NamedTuple):
    what: str  # "attach tmpfs"
    where: str  # "/dev/shm"; with what, the parent's half of an error message
    nr: int
    args: tuple[Arg | Result, ...]
    slot: int = -1  # where the returned value is kept for Result
    tolerate: tuple[int, ...] = ()  # errnos that are as good as success
    done: int = 0  # steps to skip when it succeeded
    missing: int = 0  # steps to skip when it failed with a tolerated errno


_new = tuple.__new__  # what Step(...) comes to, in half the time; a launch has some 200 of them


class Builder:
    """Collects the steps of one child and hands out slots."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.slots = 0

    def slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def add(
        self,
        what: str,
        where: str,
        name: str,
        *args: Arg | Result,
        tolerate: tuple[int, ...] = (),
        done: int = 0,
        missing: int = 0,
    ) -> None:
        self.steps.append(_new(Step, (what, where, NR[name], args, -1, tolerate, done, missing)))

    def keep(
        self,
        what: str,
        where: str,
        name: str,
        *args: Arg | Result,
        slot: int | None = None,
        tolerate: tuple[int, ...] = (),
        done: int = 0,
        missing: int = 0,
    ) -> Result:
        """Like add, and the value returned can be used by later steps."""
        slot = self.slot() if slot is None else slot
        self.steps.append(_new(Step, (what, where, NR[name], args, slot, tolerate, done, missing)))
        return Result(slot)


class Failure(NamedTuple):
    sibling: bool
    at: int  # index of the step; one more than the last when the sibling could not be made
    code: int  # errno
    denied: bool
