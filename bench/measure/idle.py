"""What an engine's own processes work while half as many containers do nothing."""

import time

from bench.engines import Engine
from bench.samples import Goal, Row
from bench.world import World


def measure(world: World) -> list[Row]:
    count = max(world.services // 2, 1)
    engines = world.idle(count)
    time.sleep(5 if world.quick else 20)  # what the start left to do is not idleness
    before, began = {name: spent(engine) for name, engine in engines.items()}, time.monotonic()
    time.sleep(5 if world.quick else 60)
    took = time.monotonic() - began
    shares = {name: [(spent(engine) - before[name]) / took * 100] for name, engine in engines.items()}
    return [Row(f"idle with {count} containers", "% of a cpu", shares, Goal("under 0.5 %", 0.5))]


def spent(engine: Engine) -> float:
    return float(sum(engine.place.ask("cpu", **engine.processes()).values()))
