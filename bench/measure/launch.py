"""One container of /bin/true, from nothing to gone: all namespaces, overlay root, cgroups with limits, seccomp.

crun and runc get their overlay mounted; ours is made and removed within the time, as are the pod's cgroup and the
network namespace. None of them connects it to a network.
"""

import base64
import subprocess
import sys
import tempfile
from contextlib import ExitStack

from bench import floor
from bench.bundles import ORCH_OCI, Bundle
from bench.place import BenchError
from bench.samples import OURS, Goal, Row, in_turn
from bench.world import World


class Launcher:
    """A context manager around `python -m bench.launching`."""

    def __init__(self, how: str, folder: str) -> None:
        self.command = [sys.executable, "-m", "bench.launching", how, folder]

    def __enter__(self) -> "Launcher":
        self._process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def __call__(self) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        if not (line := self._process.stdout.readline()):
            raise BenchError("a launch failed (its words are above)")
        return float(line) * 1e3


def measure(world: World) -> list[Row]:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp"))
        world.here.ask("unpack", path=f"{folder}/low", tar=base64.b64encode(world.rootfs).decode())
        sides = {how: stack.enter_context(Launcher(how, folder)) for how in ("direct", "supervised")}
        own = stack.enter_context(Bundle(world.here, world.rootfs, "orch-oci"))
        sides["orch-oci"] = lambda: own.run(ORCH_OCI) * 1e3
        for runtime in ("crun", "runc"):
            if world.peers.has(runtime):
                bundle = stack.enter_context(Bundle(world.peers, world.rootfs, runtime))
                sides[runtime] = lambda runtime=runtime, bundle=bundle: bundle.run(runtime) * 1e3
            else:
                world.absent[runtime] = "not installed"
        if (program := stack.enter_context(floor.compiled())) is not None:
            sides["C"] = lambda: floor.seconds(program, f"{folder}/low", folder) * 1e3
        times = in_turn(sides, world.rounds(100, 5), warm=3)
    return list(rows(times))


def rows(times: dict[str, list[float]]) -> list[Row]:
    peers = {name: times[name] for name in ("crun", "runc", "C") if name in times}
    beats = {name: Goal(f"faster than {name}", 1.0, name) for name in ("crun", "runc")}
    return [
        Row("container, launched in process", "ms", {OURS: times["direct"], **peers}, beats["crun"]),
        Row("container, through the supervisor", "ms", {OURS: times["supervised"], **peers}),
        Row("container, orch-oci run", "ms", {OURS: times["orch-oci"], **peers}, beats["runc"]),
    ]
