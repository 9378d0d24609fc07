"""When a container that ended may start again.

A run of STEADY seconds counts as a good one: the restart after it is immediate and the count of failures begins anew.
Otherwise 0.5 s, doubling to 60 s, with jitter so that a hundred containers that fell together do not rise together.
"""

from collections.abc import Callable
from dataclasses import dataclass

STEADY = 10.0  # seconds
FIRST, CAP = 0.5, 60.0  # seconds
JITTER = 0.1  # plus or minus this part


@dataclass(frozen=True, slots=True)
class Backoff:
    """State of one container between two starts."""

    failures: int = 0

    def after_run(self, seconds: float) -> "Backoff":
        return Backoff(0 if seconds >= STEADY else self.failures + 1)

    def delay(self, random: Callable[[], float]) -> float:
        """Seconds to wait before the next start; `random` gives [0, 1)."""
        if not self.failures:
            return 0.0
        base = min(FIRST * 2.0 ** min(self.failures - 1, 16), CAP)
        return base * (1 - JITTER + 2 * JITTER * random())
