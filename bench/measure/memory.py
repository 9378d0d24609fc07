"""Memory of the engines' own processes, without the containers'. PSS: a page that n processes share is 1/n each."""

from collections.abc import Mapping

from bench.engines import Engine
from bench.samples import Goal, Row
from bench.world import World


def measure(world: World) -> list[Row]:
    many = megabytes(world.idle(world.services))
    empty = megabytes(world.nothing())
    return [
        Row(f"memory (PSS) with {world.services} idle", "MB", many, Goal("under 1/6 of Docker's", 1 / 6, "docker")),
        Row("memory (PSS) with nothing running", "MB", empty, Goal("80 MB", 80)),
    ]


def megabytes(engines: Mapping[str, Engine]) -> dict[str, list[float]]:
    return {name: [engine.place.ask("memory", **engine.processes())["bytes"] / 1e6] for name, engine in engines.items()}
