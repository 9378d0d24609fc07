"""From the death of a container's process to its successor's first instruction, by each engine's own restart."""

import os
import time

from bench.samples import Goal, Row, in_turn
from bench.world import World

SETTLED = 11.0  # seconds after which a restart is not yet the second in a row, for all engines


def measure(world: World) -> list[Row]:
    engines, rounds = world.nothing(), world.rounds(15, 2)
    words = {name: iter(mine) for name, mine in split(list(engines), rounds).items()}
    try:
        for name, mine in split(list(engines), rounds).items():
            engines[name].keep(mine)
        time.sleep(SETTLED)
        sides = {
            name: lambda e=engine, mine=words[name]: e.place.ask("heal", word=next(mine)) * 1e3
            for name, engine in engines.items()
        }
        times = in_turn(sides, rounds, warm=0)
    finally:
        for engine in engines.values():
            engine.clear()
    return [Row("kill -9 to the successor", "ms", times, Goal("10 x faster than docker", 0.1, "docker"))]


def split(names: list[str], rounds: int) -> dict[str, list[str]]:
    """For each engine as many numbers of seconds, nowhere else used."""
    base = os.getpid() * 100
    return {name: [str(base + at * rounds + each) for each in range(rounds)] for at, name in enumerate(names)}
