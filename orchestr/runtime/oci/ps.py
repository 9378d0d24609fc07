"""ps: the container's processes, as pids or as the machine's ps(1) shows them."""

import os
from contextlib import suppress
from typing import Final

from orchestr.runtime import cgroups, lean
from orchestr.runtime.oci import state
from orchestr.runtime.oci.options import Call, Command, Option
from orchestr.runtime.seam import RuntimeFailure


def ps(call: Call) -> int:
    form = call.text("format", "table")
    if form not in ("table", "json"):
        raise RuntimeFailure(f"cannot show processes as {form}: invalid format option (table or json)")
    found = state.load(call.root, call.id)
    pids = cgroups.processes(found.cgroup) if found.cgroup else _beside(state.living(call.root, call.id))
    if form == "json":
        print(lean.dumps(pids))
        return 0
    for line in pick(_run(call.words[1:] or ["-ef"]), pids):
        print(line)
    return 0


def _beside(pid: int) -> list[int]:
    """Without a cgroup: all in the pid namespace of `pid`."""
    if not pid:
        return []
    own, found = os.stat(f"/proc/{pid}/ns/pid").st_ino, []
    for name in os.listdir("/proc"):
        with suppress(OSError):
            if name.isdigit() and os.stat(f"/proc/{name}/ns/pid").st_ino == own:
                found.append(int(name))
    return sorted(found)


def _run(args: list[str]) -> list[str]:
    import subprocess

    try:
        done = subprocess.run(["ps", *args], capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError as error:
        raise RuntimeFailure("cannot show processes: no ps here (install procps, or use --format json)") from error
    if done.returncode:
        raise RuntimeFailure(f"cannot show processes: ps {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout.splitlines()


def pick(lines: list[str], pids: list[int]) -> list[str]:
    """The head and those lines whose PID is one of `pids`. RuntimeFailure when there is no such column."""
    head = lines[0].split() if lines else []
    if "PID" not in head:
        raise RuntimeFailure("cannot show processes: ps prints no column PID (leave out the options)")
    at, wanted = head.index("PID"), {str(pid) for pid in pids}
    return [lines[0], *(line for line in lines[1:] if (line.split()[at : at + 1] or [""])[0] in wanted)]


COMMANDS: Final = {
    "ps": Command(
        ps,
        "show the processes of a container; options after the id are those of ps(1), -ef without",
        "ID [PS-OPTION...]",
        {"format": Option("table or json", "FORMAT", "f")},
        in_order=True,
        extra=True,
        reaches=True,
    )
}
