"""The Node object: what this machine has and whether it is well. Written at start and when something changes."""

import os
import platform
import socket

import trio

from orchestr import __version__
from orchestr.agent.node import Node, log
from orchestr.agent.status import stamped
from orchestr.api.base import Condition, ObjectMeta
from orchestr.api.core import Node as NodeObject
from orchestr.api.core import NodeAddress, NodeSpec, NodeStatus, NodeSystemInfo
from orchestr.api.errors import AlreadyExists, ApiError
from orchestr.api.storage import VOLUMES
from orchestr.arch import arch
from orchestr.engine import Key

RESERVED = 256 * 1024 * 1024  # bytes of memory kept for the machine itself
MAX_PODS = 1000


def primary_address() -> str:
    """The machine's address towards the outside (the one a default route would use); 127.0.0.1 without a route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # documentation range, RFC 5737; a UDP connect sends nothing
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


class Machine:
    def __init__(self, node: Node) -> None:
        self._node = node

    async def run(self) -> None:
        """Creates or refreshes the Node object, then rests: one machine needs no heartbeat."""
        while True:
            try:
                await self._refresh()
                return
            except ApiError as error:
                log.warning("cannot write node %s: %s (will try again)", self._node.name, error)
                await trio.sleep(5)

    async def _refresh(self) -> None:
        labels = {"kubernetes.io/hostname": self._node.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": arch()}
        cluster = self._node.cluster
        notes = {VOLUMES: self._node.places.volumes}
        metadata = ObjectMeta(name=self._node.name, labels=labels, annotations=notes)
        wanted = NodeObject(metadata=metadata, spec=NodeSpec())
        try:
            stored = await cluster.create(wanted)
        except AlreadyExists:
            found = await cluster.get(NodeObject, Key("", self._node.name))
            assert found is not None
            stored = found
            if not notes.items() <= found.metadata.annotations.items():
                stored = await cluster.patch(NodeObject, found.key, {"metadata": {"annotations": notes}})
        await cluster.patch_status(stored, self._status(stored))

    def _status(self, stored: NodeObject) -> NodeStatus:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        cpus = len(os.sched_getaffinity(0))
        now = self._node.clock()
        ready = Condition(type="Ready", status="True", reason="AgentReady", message="the agent is running")
        capacity = {"cpu": str(cpus), "memory": f"{memory // 1024}Ki", "pods": str(MAX_PODS)}
        return NodeStatus(
            capacity=capacity,
            allocatable=capacity | {"memory": f"{max(memory - RESERVED, 0) // 1024}Ki"},
            conditions=(stamped(ready, stored.status.conditions, now),),
            addresses=(
                NodeAddress(type="InternalIP", address=self._node.host_ip),
                NodeAddress(type="Hostname", address=self._node.name),
            ),
            node_info=NodeSystemInfo(
                machine_id=read("/etc/machine-id"),
                boot_id=read("/proc/sys/kernel/random/boot_id"),
                kernel_version=platform.release(),
                os_image=os_name(),
                container_runtime_version=f"orch://{__version__}",
                kubelet_version=f"orch-{__version__}",
                architecture=arch(),
            ),
        )


def read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def os_name() -> str:
    for line in read("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "Linux"
