"""pause and resume: all processes of the container are held where they are, by the freezer."""

from typing import Final

from orchestr.runtime import cgroups
from orchestr.runtime.oci import state
from orchestr.runtime.oci.options import Call, Command
from orchestr.runtime.seam import RuntimeFailure


def pause(call: Call) -> int:
    found = _expect(call, ("running", "created"), "pause", "container not running")
    cgroups.freeze(state.cgroup(found))
    if not cgroups.frozen(found.cgroup):
        raise RuntimeFailure(f"cannot pause container {call.id}: no freezer cgroup here (mount one)")
    return 0


def resume(call: Call) -> int:
    cgroups.thaw(_expect(call, ("paused",), "resume", "container not paused").cgroup)
    return 0


def _expect(call: Call, wanted: tuple[str, ...], verb: str, words: str) -> state.State:
    found = state.load(call.root, call.id)
    if (now := state.status(call.root, found)) not in wanted:
        raise RuntimeFailure(f"cannot {verb} container {call.id}: {words}: it is {now}")
    return found


COMMANDS: Final = {
    "pause": Command(pause, "hold all processes of a container", reaches=True),
    "resume": Command(resume, "let them go on", reaches=True),
}
