"""A user namespace for the mappings of one mount: a mount is mapped by a namespace, not by numbers."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from orchestr.runtime import idmap
from orchestr.runtime import syscalls as sc
from orchestr.runtime.idmap import Mappings
from orchestr.runtime.plan import Builder, Plan, launch_error, run
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.signals import blocked


def ranges(text: str, ids: Mappings, where: str) -> dict[str, Any]:
    """crun's "uids=0-1000-10#10-5000-1;gids=@0-0-5", which podman hands on, as uidMappings and gidMappings.

    A triplet is (id in the filesystem, id of the machine, size); with "@" the second is one of the container's.
    """
    found: dict[str, Any] = {}
    for part in text.split(";"):
        kind, _, triplets = part.partition("=")
        if kind not in ("uids", "gids") or kind in found:
            raise _malformed(text, where)
        host = ids.host_uid if kind == "uids" else ids.host_gid
        found[kind] = [_range(triplet, host, text, where) for triplet in triplets.split("#")]
    return {"uidMappings": found.get("uids"), "gidMappings": found.get("gids")}


def _range(triplet: str, host: Callable[[int], int], text: str, where: str) -> dict[str, int]:
    numbers = triplet.removeprefix("@").split("-")
    if len(numbers) != 3 or not all(number.isascii() and number.isdigit() and len(number) < 11 for number in numbers):
        raise _malformed(text, where)
    first, second, size = map(int, numbers)
    return {"containerID": first, "hostID": host(second) if triplet[:1] == "@" else second, "size": size}


def _malformed(text: str, where: str) -> RuntimeFailure:
    return RuntimeFailure(
        f"cannot mount {where}: idmap={text} is no mapping (as in idmap=uids=0-1000-10;gids=0-1000-10)",
        reason="StartError",
    )


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
