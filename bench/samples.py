"""What is measured, as data: samples of each side in turn, ratios within a round, whether a goal is reached."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import NamedTuple

OURS = "orch"
Samples = Mapping[str, Sequence[float]]  # side -> one value per round, in the row's unit


class Spread(NamedTuple):
    """The median, and the middle half of the values (all of them when there are fewer than four)."""

    middle: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    if len(values) < 4:
        return Spread(median(values), min(values), max(values))
    low, _, high = quantiles(values, n=4)
    return Spread(median(values), low, high)


@dataclass(frozen=True)
class Goal:
    """Ours is at most `at_most` times the peer's; without a peer, at most that many units."""

    text: str
    at_most: float
    peer: str = ""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    unit: str
    samples: Samples
    goal: Goal | None = None
    more_is_better: bool = False

    def ratios(self, peer: str) -> list[float]:
        """How many times better ours is than the peer's, round by round."""
        pairs = list(zip(self.samples[OURS], self.samples[peer], strict=False))
        if any(value <= 0 for pair in pairs for value in pair):
            return []  # a difference within the noise, or nothing at all
        return [ours / theirs if self.more_is_better else theirs / ours for ours, theirs in pairs]

    def reached(self) -> bool | None:
        """None when there is no goal, or nobody here to compare with."""
        if self.goal is None or OURS not in self.samples:
            return None
        if not self.goal.peer:
            return median(self.samples[OURS]) <= self.goal.at_most
        if self.goal.peer not in self.samples:
            return None
        if ratios := self.ratios(self.goal.peer):
            return median(ratios) >= 1 / self.goal.at_most
        return median(self.samples[OURS]) <= self.goal.at_most * median(self.samples[self.goal.peer])


@dataclass(frozen=True)
class Parts:
    """Where a total of ours goes, for the second table."""

    what: str
    unit: str
    parts: Samples = field(default_factory=dict)


def in_turn(sides: Mapping[str, Callable[[], float]], rounds: int, warm: int = 1) -> dict[str, list[float]]:
    """Calls every side once per round, beginning with another one each time; `warm` rounds before do not count."""
    names = list(sides)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-warm, rounds):
        first = number % len(names) if names else 0
        for name in (*names[first:], *names[:first]):
            value = sides[name]()
            if number >= 0:
                taken[name].append(value)
    return taken
