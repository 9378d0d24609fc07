"""A user namespace for the mappings of one mount: a mount is mapped by a namespace, not by numbers."""

import os
from collections.abc import Mapping
from typing import Any

from orchestr.runtime import idmap
from orchestr.runtime import syscalls as sc
from orchestr.runtime.plan import Builder, Plan, launch_error, run
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.signals import blocked


def user_namespace(mount: Mapping[str, Any], where: str) -> int:
    """A descriptor of a new one with the mount's uidMappings and gidMappings. Its maker has ended."""
    if not (mount.get("uidMappings") and mount.get("gidMappings")):
        raise RuntimeFailure(f"cannot map the ids of {where}: uidMappings and gidMappings go together (give both)")
    mappings = idmap.parse(mount)
    b = Builder()
    ready, go = os.pipe2(os.O_CLOEXEC)
    pipe = os.pipe2(os.O_CLOEXEC)
    opened: list[int] = []

    def meanwhile(pid: int) -> None:
        idmap.write(pid, mappings)
        opened.append(os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC))
        os.write(go, b"1")

    try:
        b.add("leave the other end", "", "close", go)
        b.add("wait for the id maps", "", "read", ready, bytes(8), 1)
        b.add("exit", "", "exit_group", 0)
        plan = Plan(where, (), -1, tuple(b.steps), b.slots, first=sc.CLONE_NEWUSER)
        with blocked():
            outcome = run(plan, pipe, meanwhile=meanwhile)
        if outcome.failed:
            raise launch_error(plan.name, *outcome.failed)
        os.waitpid(outcome.pid, 0)
    except OSError as error:
        raise RuntimeFailure(f"cannot map the ids of {where}: {error.strerror} (do the ranges overlap?)") from error
    finally:
        os.close(ready)
        os.close(go)
    return opened[0]
