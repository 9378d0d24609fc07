"""The list of what runs, the whole command."""

from bench.samples import Goal, Row, in_turn
from bench.world import World


def measure(world: World) -> list[Row]:
    engines = world.idle(world.services)
    sides = {name: lambda e=engine: e.place.seconds(*e.list_command()) * 1e3 for name, engine in engines.items()}
    goal = Goal("at most 1.5 x docker ps", 1.5, "docker")
    return [Row(f"orch status, docker ps with {world.services}", "ms", in_turn(sides, world.rounds(30, 3)), goal)]
