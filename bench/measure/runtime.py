"""The OCI runtimes side by side: many at once, a process beside a container, what an idle one costs; where time goes.

One container alone is in launch.py. All have every namespace, limits, seccomp and an overlay root.
"""

import base64
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from bench.bundles import ORCH_OCI, Bundle, config
from bench.place import BenchError, Place
from bench.samples import OURS, Goal, Parts, Row, in_turn
from bench.world import World

TOP = 12  # calls that are told one by one


class Crowd:
    """Bundles on one root, each with a cgroup of its own."""

    def __init__(self, place: Place, runtime: str, base: Bundle, count: int) -> None:
        self.place, self.runtime, self.base = place, runtime, base
        for number in range(count):
            path = f"{base.path}/b{number}"
            spec = json.loads(config(f"{base.parent}/c{number}"))
            spec["root"]["path"] = f"{base.path}/rootfs"
            place.run("mkdir", "-p", path)
            place.ask("write", path=f"{path}/config.json", text=json.dumps(spec))

    def run(self, count: int) -> float:
        """Milliseconds until the last of `count` has ended, all started at once."""
        name = f"{self.base.owner}-$i"
        each = f"{self.runtime} run --bundle {self.base.path}/b$i {name} </dev/null >/dev/null"
        script = f"i=0; while [ $i -lt {count} ]; do {each} & i=$((i+1)); done; wait"
        return self.place.seconds("sh", "-c", script) * 1e3

    @contextmanager
    def idle(self, number: int = 0) -> Iterator[str]:
        """A container that sleeps; its id."""
        path, id = f"{self.base.path}/b{number}/config.json", f"{self.base.owner}-idle"
        spec = json.loads(config(f"{self.base.parent}/idle"))
        spec["root"]["path"] = f"{self.base.path}/rootfs"
        spec["process"]["args"] = ["sleep", "1000"]
        self.place.ask("write", path=path, text=json.dumps(spec))
        script = f"{self.runtime} run --detach --bundle {self.base.path}/b{number} {id} </dev/null >/dev/null 2>&1"
        self.place.run("sh", "-c", script)
        try:
            yield id
        finally:
            self.place.run(self.runtime, "delete", "--force", id, check=False)

    def charged(self) -> float:
        """KiB that the idle container's cgroup has been charged with."""
        places = "/sys/fs/cgroup/memory{0}/memory.usage_in_bytes /sys/fs/cgroup{0}/memory.current"
        script = f"cat {places.format(f'{self.base.parent}/idle')} 2>/dev/null"
        return float(self.place.run("sh", "-c", script, check=False).out.split()[0]) / 1024


def measure(world: World) -> list[Row | Parts]:
    counts = (1, 10) if world.quick else (1, 10, 100)
    with ExitStack() as stack:
        crowds = dict(made(world, stack, max(counts)))
        rows: list[Row | Parts] = [at_once(world, crowds, count) for count in counts]
        ids = {side: stack.enter_context(crowd.idle()) for side, crowd in crowds.items()}
        execs = {side: lambda c=crowd, i=ids[side]: beside(c, i) for side, crowd in crowds.items()}
        rows.append(Row("exec ID true", "ms", in_turn(execs, world.rounds(30, 3)), Goal("faster than runc", 1, "runc")))
        charged = {side: [crowd.charged()] for side, crowd in crowds.items()}
        rows.append(Row("memory of an idle container", "KiB", charged))
    return [*rows, *where_time_goes(world)]


def made(world: World, stack: ExitStack, count: int) -> Iterator[tuple[str, Crowd]]:
    for side, runtime, place in (
        (OURS, ORCH_OCI, world.here),
        ("crun", "crun", world.peers),
        ("runc", "runc", world.peers),
    ):
        if side != OURS and not place.has(runtime):
            world.absent[side] = "not installed"
            continue
        yield side, Crowd(place, runtime, stack.enter_context(Bundle(place, world.rootfs, f"rt-{side}")), count)


def at_once(world: World, crowds: dict[str, Crowd], count: int) -> Row:
    sides: dict[str, Callable[[], float]] = {side: lambda c=crowd: c.run(count) for side, crowd in crowds.items()}
    times = in_turn(sides, world.rounds(10, 2))
    return Row(f"{count} at once: RUNTIME run /bin/true", "ms", times, Goal("faster than runc", 1, "runc"))


def beside(crowd: Crowd, id: str) -> float:
    return crowd.place.seconds(crowd.runtime, "exec", id, "true") * 1e3


def where_time_goes(world: World) -> list[Parts]:
    rounds = world.rounds(50, 5)
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as folder:
        world.here.ask("unpack", path=f"{folder}/low", tar=base64.b64encode(world.rootfs).decode())
        phases, calls = (timed(what, folder, rounds) for what in ("phases", "calls"))
    first = dict(sorted(calls.items(), key=lambda item: -sum(item[1]))[:TOP])
    rest = [sum(values) for values in zip(*(calls[name] for name in calls.keys() - first.keys()), strict=True)]
    if rest:
        first["all others"] = rest
    return [Parts("phases of a launch in process", "us", phases), Parts("system calls of its children", "us", first)]


def timed(what: str, folder: str, rounds: int) -> dict[str, list[float]]:
    """What -> microseconds of each round but the first, which also compiles the filter."""
    command = [sys.executable, "-m", "bench.timed", what, folder, str(rounds + 1)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"bench.timed: {done.stderr.strip()[-600:]}")
    found = [json.loads(line) for line in done.stdout.splitlines()][1:]
    names = sorted({name for each in found for name in each})
    return {name.partition(" ")[2]: [each.get(name, 0.0) for each in found] for name in names}
