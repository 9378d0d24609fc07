"""What the engine counts, per controller; a server turns it into Prometheus' text."""

from dataclasses import dataclass


@dataclass(slots=True)
class Metrics:
    runs: int = 0
    failures: int = 0  # raised anything but a conflict
    conflicts: int = 0  # raced with another writer or a deletion, or read a stale cache
    hopeless: int = 0
    seconds: float = 0.0  # wall-clock spent in reconcile, all workers together
    depth: int = 0  # keys that wait, when last asked
    delayed: int = 0  # keys that wait for a time
