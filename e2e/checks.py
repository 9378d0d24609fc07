"""The vocabulary of the scenarios: waiting for a condition, and what a machine shows of an instance.

Everything here looks at real state (/proc, cgroup files, sysfs, sockets), never at the product's own modules.
"""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
STEP = 0.02  # seconds between two looks at state that has no event
WITHIN = 20.0  # seconds; how long a condition may take when nothing else is said


def eventually(check: Callable[[], T], within: float = WITHIN, what: str = "") -> T:
    """The first true value of `check`. Its AssertionErrors count as not yet; the last one is told at the end."""
    end = time.monotonic() + within
    why: AssertionError | None = None
    while True:
        try:
            found = check()
            if found:
                return found
            why = None
        except AssertionError as error:
            why = error
        if time.monotonic() >= end:
            raise AssertionError(f"not within {within} s: {what or why or check}") from why
        time.sleep(STEP)


@dataclass(frozen=True)
class Result:
    """How a command ended. `out` and `err` are text; `expect` and `json` are what tests mostly want."""

    args: tuple[str, ...]
    code: int
    out: str
    err: str

    def expect(self, code: int = 0) -> "Result":
        assert self.code == code, f"orch {' '.join(self.args)}: exit {self.code}, not {code}\n{self.out}\n{self.err}"
        assert "Traceback" not in self.err + self.out, f"a traceback reached the user:\n{self.err}{self.out}"
        assert "this is a bug" not in self.err, self.err
        return self

    def json(self) -> Any:
        return json.loads(self.expect().out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def kill(pid: int, number: int = signal.SIGKILL, within: float = WITHIN) -> None:
    """Signals exactly this process; after SIGKILL waits until it is gone."""
    pidfd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(pidfd, number)
        if number == signal.SIGKILL:
            assert select.select([pidfd], [], [], within)[0], f"process {pid} outlived SIGKILL"
    finally:
        os.close(pidfd)


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def pids_in(cgroup: str) -> list[int]:
    """Processes in a cgroup and below it, by its directory."""
    found: list[int] = []
    for path in [cgroup, *glob(f"{cgroup}/**/", recursive=True)]:
        with suppress(OSError):
            found += [int(line) for line in Path(path, "cgroup.procs").read_text().split()]
    return sorted(set(found))


def cgroups_named(part: str, controller: str = "pids") -> list[str]:
    """Directories whose path holds `part`, in the hierarchy of a controller (version 1) or the only one (version 2)."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    top = "/sys/fs/cgroup" if unified else f"/sys/fs/cgroup/{controller}"
    return sorted(path for path, _, _ in os.walk(top) if part in path)


def process(pid: int, what: str) -> Mapping[str, str]:
    """/proc/PID/<what> of the form `Key: value`."""
    lines = Path(f"/proc/{pid}/{what}").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def descriptors(pid: int) -> list[str]:
    """What the descriptors of a process point at."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return sorted(found)


def links_of(bridge: str) -> list[str]:
    """Links plugged into a bridge, and itself."""
    if not Path(f"/sys/class/net/{bridge}").exists():
        return []
    return [bridge, *os.listdir(f"/sys/class/net/{bridge}/brif")]


def tables() -> list[str]:
    listed = subprocess.run(["nft", "list", "tables"], check=True, capture_output=True, text=True)
    return listed.stdout.splitlines()


def processes_of(name: str) -> list[str]:
    """Processes that belong to an instance: by environment, command line or cgroup."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            groups = Path(f"/proc/{pid}/cgroup").read_text()
            mine = f"ORCH_INSTANCE={name}".encode() in environ or f"/run/orch-{name}\0".encode() in words
            if (mine or f"/orch-{name}/" in groups) and alive(int(pid)):
                found.append(f"process {pid} {words.replace(bytes(1), b' ').decode(errors='replace')}")
    return found


def leftovers(name: str, links: "set[str] | frozenset[str]" = frozenset()) -> list[str]:
    """All that an instance's name (and `links` it once had) still holds on this machine."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    paths = (f"/run/orch-{name}", f"/var/lib/orch-{name}")
    groups = glob(f"/sys/fs/cgroup/orch-{name}") + glob(f"/sys/fs/cgroup/*/orch-{name}")
    table = f"orch_{name.replace('-', '_')}"
    here = {*links, f"orch-{name}"} & set(os.listdir("/sys/class/net"))
    return [
        *processes_of(name),
        *(f"mount {line}" for line in mounts if any(f"{path}/" in line or f"{path} " in line for path in paths)),
        *(f"cgroup {path}" for path in groups),
        *(f"link {link}" for link in sorted(here)),
        *(f"nft {line}" for line in tables() if line.split()[-1] == table),
        *(f"directory {path}" for path in paths if os.path.exists(path)),
    ]
