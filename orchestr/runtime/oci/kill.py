"""kill: a signal to the container's process, by its pidfd; to all of them where that alone would not end it."""

import os
from contextlib import suppress
from typing import Final

from orchestr.runtime import cgroups
from orchestr.runtime.oci import state
from orchestr.runtime.oci.options import Call, Command, Option
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.signals import system


def kill(call: Call) -> int:
    found = state.load(call.root, call.id)
    number = signal_number(call.words[1] if len(call.words) > 1 else "TERM")
    everybody = call.flag("all")
    if number == system.SIGKILL and not found.own_pids and not everybody:
        # Its children are not ended by the kernel with it, and may live on when it has ended.
        everybody = bool(cgroups.processes(found.cgroup))
    if everybody and found.cgroup:
        _all(found.cgroup, number)
        return 0
    fd = state.open_process(found)
    if fd < 0:
        raise RuntimeFailure(f"cannot kill container {found.id}: container not running")
    try:
        system.pidfd_send_signal(fd, number)
    except ProcessLookupError as error:
        raise RuntimeFailure(f"cannot kill container {found.id}: container not running") from error
    finally:
        os.close(fd)
    if number == system.SIGKILL and cgroups.frozen(found.cgroup):
        cgroups.thaw(found.cgroup)  # a frozen process dies only then
    return 0


def _all(cgroup: str, number: int) -> None:
    if number == system.SIGKILL:
        cgroups.kill_all(cgroup)
        return
    for pid in cgroups.processes(cgroup):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def signal_number(word: str) -> int:
    """Of "9", "KILL", "SIGKILL", "sigkill", "RTMIN+3", "RTMAX-1"."""
    if word.isascii() and word.isdigit() and int(word) < 65:
        return int(word)
    name = word.upper().removeprefix("SIG")
    for base in ("RTMIN", "RTMAX"):
        distance = name.removeprefix(base)
        if name.startswith(base) and (not distance or (distance[0] in "+-" and distance[1:].isdigit())):
            number = int(getattr(system, f"SIG{base}")) + int(distance or 0)
            if system.SIGRTMIN <= number <= system.SIGRTMAX:
                return number
    found = getattr(system, f"SIG{name}", None) if name.isalnum() else None
    if isinstance(found, int):
        return found
    raise RuntimeFailure(f"cannot send signal {word}: unknown signal (a number, or a name as in kill -l)")


COMMANDS: Final = {
    "kill": Command(
        kill,
        "send a signal (default: TERM) to the container's process",
        "ID [SIGNAL]",
        {"all": Option("to all processes of the container", short="a")},
        reaches=True,
    )
}
