"""What a container can print, into rotated files, as long as nothing else holds it up."""

import os
from itertools import count

from bench.samples import Goal, Row, in_turn
from bench.world import World


def measure(world: World) -> list[Row]:
    engines, megabytes = world.nothing(), 20 if world.quick else 300
    words = count(1)

    def speed(name: str) -> float:
        return megabytes / engines[name].run(megabytes, f"loud-{os.getpid()}-{next(words)}")

    rates = in_turn({name: lambda name=name: speed(name) for name in engines}, world.rounds(5, 1), warm=0)
    goal = Goal("faster than podman's conmon", 1.0, "podman")
    return [Row("log of one loud container", "MB/s", rates, goal, more_is_better=True)]
