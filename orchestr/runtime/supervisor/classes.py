"""Network classes that nftables gives (netclass.py): a container's table is in its pod's namespace or the machine's."""

from collections.abc import Mapping
from typing import Any, Final

from orchestr.runtime import cgroups
from orchestr.runtime.seam import SandboxSpec
from orchestr.runtime.supervisor.records import Record
from orchestr.runtime.supervisor.sandboxes import Sandboxes

POD, MACHINE = "pod", "machine"  # Record.classed
_OURS: Final = -1  # netclass.py: the namespace that this process is in


def place(resources: Mapping[str, Any], sandbox: SandboxSpec) -> str:
    """Record.classed of a container that is launched with these."""
    if not resources.get("network"):
        return ""
    from orchestr.runtime import netclass

    if not netclass.wanted(resources):
        return ""
    return MACHINE if sandbox.host_network else POD


def update(record: Record, sandboxes: Sandboxes, resources: Mapping[str, Any]) -> Record:
    """Other limits for a container that runs; what its record is then. RuntimeFailure."""
    box = sandboxes.get(record.container.sandbox)
    where = place(resources, box.spec)
    if not where:
        cgroups.update(record.cgroup, resources)
        return record
    from orchestr.runtime import netclass

    cgroups.update(record.cgroup, netclass.left(resources))
    netclass.apply(resources, record.cgroup, box.ns.net)
    return record._replace(classed=where)


def remove(record: Record, sandboxes: Sandboxes) -> None:
    """Of a container that has ended. A namespace that is gone took the table along."""
    box = sandboxes.all.get(record.container.sandbox)
    if not record.classed or (record.classed == POD and box is None):
        return
    from orchestr.runtime import netclass

    netclass.remove(record.cgroup, _OURS if box is None else box.ns.net)
