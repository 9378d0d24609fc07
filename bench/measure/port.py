"""HTTP requests to a container's own address and through a published port of the machine, in turn."""

from statistics import median

from bench.samples import Goal, Row
from bench.world import World

PORT = 18099


def measure(world: World) -> list[Row]:
    engines, requests = world.nothing(), 50 if world.quick else 500
    direct: dict[str, list[float]] = {name: [] for name in engines}
    through: dict[str, list[float]] = {name: [] for name in engines}
    try:
        pairs = {
            name: [(engine.serve(PORT + at), 80), ("127.0.0.1", PORT + at)]
            for at, (name, engine) in enumerate(engines.items())
        }
        for _ in range(world.rounds(9, 2)):
            for name, engine in engines.items():
                own, published = engine.place.ask("http", addresses=pairs[name], count=requests)
                direct[name].append(median(own) * 1e3)
                through[name].append(median(published) * 1e3)
    finally:
        for engine in engines.values():
            engine.clear()
    added = {name: [b - a for a, b in zip(direct[name], through[name], strict=True)] for name in engines}
    return [
        Row("request to a container", "ms", direct),
        Row("request through a published port", "ms", through),
        Row("added by the published port", "ms", added, Goal("at most docker's", 1.0, "docker")),
    ]
