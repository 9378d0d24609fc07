"""A stack of services: from nothing to all running with network and names, the same file again, and down."""

from bench.engines import Engine
from bench.samples import OURS, Goal, Parts, Row
from bench.world import World


def measure(world: World) -> list[Row | Parts]:
    engines, count = world.nothing(), world.services
    times: dict[str, dict[str, list[float]]] = {step: {} for step in ("cold", "again", "down")}
    work: dict[str, list[float]] = {}
    for number in range(world.rounds(5, 1)):
        first = number % len(engines)
        for name in (*list(engines)[first:], *list(engines)[:first]):
            for step, seconds in once(world, engines[name], count, work).items():
                times[step].setdefault(name, []).append(seconds)
    unchanged = Goal("faster than docker compose", 1.0, "docker")
    return [
        Row(f"{count} services, cold", "s", times["cold"], Goal("10 x faster than docker compose", 0.1, "docker")),
        Row(f"{count} services, applied again unchanged", "s", times["again"], unchanged),
        Row(f"{count} services, down", "s", times["down"]),
        Parts(f"CPU of {count} services, cold", "s", work),
    ]


def once(world: World, engine: Engine, count: int, work: dict[str, list[float]]) -> dict[str, float]:
    """Seconds of each step. What our own parts worked during the cold start goes to `work`."""
    ours = engine.name == OURS
    before = used(world) if ours else {}
    cold = engine.up(count)
    if ours:
        for part, seconds in used(world).items():
            work.setdefault(part, []).append(seconds - before[part])
        work.setdefault("orch apply", []).append(cold.cpu)
    again = engine.again(count)
    return {"cold": cold.seconds, **({"again": again.seconds} if again else {}), "down": engine.down(count).seconds}


def used(world: World) -> dict[str, float]:
    """CPU seconds of each part of ours so far."""
    parts = {part: [pid] for part, pid in world.orch.system().items()}
    seconds = {part: world.here.ask("cpu", pids=pids) for part, pids in parts.items()}
    return {part: seconds[part][str(pids[0])] for part, pids in parts.items()}
