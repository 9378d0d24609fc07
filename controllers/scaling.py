"""How fast a workload may grow and shrink: windows in which recommendations settle, limits of the rate. Pure.

Source: horizontal.go of Kubernetes' podautoscaler.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from orchestr.api.autoscaling import HorizontalPodAutoscaler, HPAScalingRules

SETTLING = 300  # seconds in which the highest recommendation holds, unless scaleDown says another
KEPT = timedelta(hours=1)  # the longest window there may be


@dataclass(slots=True)
class History:
    """What an autoscaler recommended and did; in memory, as in Kubernetes."""

    recommended: list[tuple[datetime, int]] = field(default_factory=list)
    changed: list[tuple[datetime, int]] = field(default_factory=list)  # pods added (> 0) or taken away (< 0)

    def recommend(self, replicas: int, now: datetime) -> None:
        self.recommended = [each for each in self.recommended if now - each[0] <= KEPT] + [(now, replicas)]

    def change(self, by: int, now: datetime) -> None:
        self.changed = [each for each in self.changed if now - each[0] <= KEPT] + [(now, by)]

    def within(self, seconds: int, now: datetime) -> list[int]:
        return [replicas for at, replicas in self.recommended if now - at <= timedelta(seconds=seconds)]

    def difference(self, seconds: int, now: datetime) -> int:
        """Pods added less those taken away."""
        return sum(by for at, by in self.changed if now - at < timedelta(seconds=seconds))


@dataclass(frozen=True, slots=True)
class Decision:
    """How many pods there shall be; why it is not what the metrics say: (reason, message) of two conditions."""

    replicas: int
    able: tuple[str, str]
    limited: tuple[str, str] | None  # None: within the range


READY = "ReadyForNewScale", "recommended size matches current size"
FEWER = "TooFewReplicas", "the desired replica count is less than the minimum replica count"
MORE = "TooManyReplicas", "the desired replica count is more than the maximum replica count"
UP_LIMIT = "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate"
DOWN_LIMIT = "ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate"
HELD_DOWN = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
HELD_UP = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)


def decide(hpa: HorizontalPodAutoscaler, current: int, desired: int, past: History, now: datetime) -> Decision:
    """From what the metrics say to what is done; enters the recommendation into `past`."""
    behavior, least, most = hpa.spec.behavior, hpa.spec.min_replicas or 1, hpa.spec.max_replicas
    up = behavior.scale_up if behavior else None
    down = behavior.scale_down if behavior else None
    settled = _settled(current, desired, past, now, up, down)
    past.recommend(desired, now)
    able = READY if settled == desired else HELD_UP if behavior and desired >= current else HELD_DOWN
    if behavior is None:
        fastest = max(2 * current, 4)
        if settled > (top := min(most, fastest)):
            return Decision(top, able, UP_LIMIT if fastest < most else MORE)
        return Decision(max(settled, least), able, FEWER if settled < least else None)
    if settled > current and up is not None:
        limit = max(_limit(current, up, past, now, rising=True), current)
        if settled > (top := min(most, limit)):
            return Decision(top, able, UP_LIMIT if limit < most else MORE)
    if settled < current and down is not None:
        limit = min(_limit(current, down, past, now, rising=False), current)
        if settled < (bottom := max(least, limit)):
            return Decision(bottom, able, DOWN_LIMIT if limit > least else FEWER)
    return Decision(settled, able, None)


def _settled(
    current: int,
    desired: int,
    past: History,
    now: datetime,
    up: HPAScalingRules | None,
    down: HPAScalingRules | None,
) -> int:
    """With rules: at most the lowest recommendation of scaleUp's window, at least the highest of scaleDown's."""
    rising = (up.stabilization_window_seconds or 0) if up else 0
    window = down.stabilization_window_seconds if down else None
    falling = SETTLING if window is None else window
    lowest: int = min([desired, *(past.within(rising, now) if rising else ())])
    highest: int = max([desired, *(past.within(falling, now) if falling else ())])
    return min(max(current, lowest), highest) if up or down else highest


def _raised(kind: str, value: int, start: int) -> int:
    return start + value if kind == "Pods" else ceil(start * (100 + value) / 100)


def _lowered(kind: str, value: int, start: int) -> int:
    return start - value if kind == "Pods" else start * (100 - value) // 100


def _limit(
    current: int,
    rules: HPAScalingRules,
    past: History,
    now: datetime,
    *,
    rising: bool,
) -> int:
    """How far the policies let it go: each counts from the number of pods at the begin of its period."""
    if rules.select_policy == "Disabled":
        return current
    limits: Sequence[int] = [
        (_raised if rising else _lowered)(
            policy.type, policy.value, current - past.difference(policy.period_seconds, now)
        )
        for policy in rules.policies
    ]
    least, most = min(limits), max(limits)
    return least if (rules.select_policy == "Min") is rising else most
