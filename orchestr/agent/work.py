"""What is known of one pod on this machine: shared by the steps of its worker, owned by its worker's task."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address

import trio

from orchestr.agent import etc
from orchestr.agent.node import Node
from orchestr.agent.pulse import Pulse
from orchestr.agent.runs import Run
from orchestr.api.base import Condition
from orchestr.api.core import Container, Pod, PodStatus
from orchestr.images.seam import Image
from orchestr.network.seam import Link


class Work:
    def __init__(self, node: Node, pod: Pod) -> None:
        self.node, self.pod = node, pod
        self.uid = pod.metadata.uid or ""
        self.runs: dict[str, Run] = {}
        self.sandbox = False
        self.ips: tuple[str, ...] = ()
        self.files: dict[str, str] = {}  # of /etc: destination -> source
        self.pulse = Pulse()
        self.waiting = ("", "")  # reason and message of what holds the next start
        self.phase, self.reason, self.message = "Pending", "", ""
        self.written: PodStatus | None = None
        self.probes: dict[str, trio.CancelScope] = {}
        self.resize: Condition | None = None  # what keeps other resources from being given
        self.fetched: dict[str, Image | None] = {}  # by ephemeral container; None: its image is being brought
        self.pulls: dict[str, int] = {}  # image -> failures in a row to pull it
        self.halted = False  # its containers and sandbox end, the object stays
        self.hold = 0.0  # not before then is a failed step tried again
        # Made once, as long as addresses and labels stay: it is asked for at every change of a service.
        self._link: tuple[tuple[str, ...], Mapping[str, str], Link] | None = None
        self.nursery: trio.Nursery  # of the worker, for what goes on beside its steps

    def wake(self) -> None:
        self.pulse.wake()

    def main_runs(self) -> list[Run]:
        return [run for c in self.pod.spec.containers if (run := self.runs.get(c.name))]

    def container(self, name: str) -> Container:
        return next(container for container in self.pod.spec.every_container if container.name == name)

    @property
    def ready(self) -> bool:
        """What is known here now, before it is written: all containers run and are ready."""
        runs = self.main_runs()
        return len(runs) == len(self.pod.spec.containers) and all(run.running and run.ready for run in runs)

    @property
    def running(self) -> bool:
        """Whether a container runs, as known here now."""
        return any(run.running for run in self.main_runs())

    @property
    def link(self) -> Link | None:
        """Its connection to the bridge, None while it has none."""
        if not self.sandbox or self.pod.spec.host_network or len(self.ips) < 2:
            return None
        labels = self.pod.metadata.labels
        if self._link is None or self._link[0] != self.ips or self._link[1] != labels:
            self._link = self.ips, labels, link(self.pod, self.ips)
        return self._link[2]


def link(pod: Pod, ips: Sequence[str]) -> Link:
    """The pod as the dataplane sees it."""
    namespace = pod.metadata.namespace or ""
    networks = pod.metadata.annotations.get("orchestr.dev/networks", "")
    return Link(
        pod=pod.metadata.uid or "",
        ipv4=IPv4Address(ips[0]),
        ipv6=IPv6Address(ips[1]),
        namespace=namespace,
        name=pod.metadata.name,
        hostname=etc.hostname(pod),
        segments=frozenset(f"{namespace}/{name.strip()}" for name in networks.split(",") if name.strip()),
        labels=tuple(sorted(pod.metadata.labels.items())),
        ports=tuple(_named_ports(pod)),
    )


def _named_ports(pod: Pod) -> Iterator[tuple[str, str, int]]:
    for container in pod.spec.containers:
        for port in container.ports:
            if port.name:
                yield port.name, port.protocol or "TCP", port.container_port
