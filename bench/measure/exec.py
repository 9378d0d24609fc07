"""`true` in a running container, the whole command."""

from bench.samples import Goal, Row, in_turn
from bench.world import World


def measure(world: World) -> list[Row]:
    engines = world.idle(world.services)
    sides = {name: lambda e=engine: e.place.seconds(*e.exec_command()) * 1e3 for name, engine in engines.items()}
    goal = Goal("faster than docker exec", 1.0, "docker")
    return [Row("exec CONTAINER true", "ms", in_turn(sides, world.rounds(30, 3)), goal)]
