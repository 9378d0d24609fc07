"""Memory of the engines' own processes, containers' processes left out. PSS: a page shared by n processes is 1/n each."""

from bench.samples import Goal, Row
from bench.world import World

MEGA = 1e6


def measure(world: World) -> list[Row]:
    with_many = {
        name: [engine.place.ask("memory", **engine.processes())["bytes"] / MEGA]
        for name, engine in world.idle(world.services).items()
    }
    empty = {
        name: [engine.place.ask("memory", **engine.processes())["bytes"] / MEGA]
        for name, engine in world.nothing().items()
    }
    return [
        Row(
            f"memory (PSS) with {world.services} idle", "MB", with_many, Goal("under 1/6 of Docker's", 1 / 6, "docker")
        ),
        Row("memory (PSS) with nothing running", "MB", empty, Goal("80 MB", 80)),
    ]
