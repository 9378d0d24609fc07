"""Services with their endpoints, and policies, as one NetworkState; applied whenever it differs from the last one.

Changes are gathered for a moment: a hundred pods that become ready together cost a few transactions, not a hundred.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address

import trio

from orchestr.agent.node import Recorder, log
from orchestr.agent.policies import Policies
from orchestr.agent.pulse import Pulse
from orchestr.agent.status import stamped
from orchestr.api.base import Condition, Key, KubeObject
from orchestr.api.core import Pod, Service, ServicePort
from orchestr.api.discovery import SERVICE_NAME, Endpoint, EndpointSlice
from orchestr.api.errors import ApiError
from orchestr.api.labels import STACK
from orchestr.engine import Cluster
from orchestr.engine.informers import Informers
from orchestr.network.seam import (
    Backend,
    Dataplane,
    Link,
    NetworkFailure,
    NetworkState,
    PortTaken,
    Publish,
    ServiceNet,
)
from orchestr.network.seam import ServicePort as Port

GATHER = 0.02  # seconds
PATIENCE = 5.0  # seconds; what a start waits for a pod to get into service, which mostly takes some milliseconds
API = Key("default", "kubernetes")
PUBLISH, ALIASES, ANY_PORT = "orchestr.dev/publish", "orchestr.dev/aliases", "orchestr.dev/any-port"


class Services:
    def __init__(
        self,
        cluster: Cluster,
        informers: Informers,
        dataplane: Dataplane,
        links: Callable[[], list[Link]],
        recorder: Recorder,
        clock: Callable[[], float],
    ) -> None:
        self._cluster, self._clock = cluster, clock
        self._informers, self._dataplane, self._links, self._recorder = informers, dataplane, links, recorder
        self._pulse, self._applied = Pulse(), Pulse()
        self._cache: dict[str, tuple[tuple[str, ...], ServiceNet]] = {}
        self._state: NetworkState | None = None
        self._backends: frozenset[IPv4Address] = frozenset()
        self.refused: dict[tuple[str, str, int], PortTaken] = {}
        self._policies = Policies(informers, self._pulse.wake)
        for kind in (Service, EndpointSlice):
            informers.add(kind)

    def poke(self) -> None:
        """Links changed."""
        self._pulse.wake()

    async def run(self) -> None:
        kinds: tuple[type[KubeObject], ...] = (Service, EndpointSlice)
        for kind in kinds:
            await self._informers.add(kind).synced.wait()
            self._informers.add(kind).add_handler(lambda _old, _new: self._pulse.wake())
        await self._policies.synced()
        while True:
            beat = self._pulse.beat
            state = self._desired()
            if state != self._state:
                await self._apply(state)
            await self._pulse.after(beat)
            await trio.sleep(GATHER)

    async def _apply(self, state: NetworkState) -> None:
        try:
            refused = await self._dataplane.apply(state)
        except NetworkFailure as failure:
            log.warning("cannot apply the network state: %s (will try again)", failure)
            await trio.sleep(1)
            self._pulse.wake()
            return
        self._state = state
        self._backends = frozenset(
            backend.ipv4 for service in state.services for port in service.ports for backend in port.backends
        )
        self._applied.wake()
        for where, taken in refused.items():
            if where not in self.refused:
                log.warning("cannot publish a port service=%s/%s port=%d: %s", *where, taken)
        self.refused = refused
        for service in self._informers.all(Service):
            await self._tell(service)

    async def _tell(self, service: Service) -> None:
        """Condition Published of a service that publishes: whether each of its ports could be had."""
        taken = [str(t) for (ns, name, _), t in self.refused.items() if service.key == (ns, name)]
        if not publications(service):
            return
        word = Condition(type="Published", status="False", reason="PortTaken", message="; ".join(taken))
        if not taken:
            word = Condition(type="Published", status="True", reason="PortsOpen")
        old = service.status.conditions
        known = next((condition for condition in old if condition.type == "Published"), None)
        fresh = stamped(word, old, self._clock())
        if known == fresh:
            return
        others = tuple(condition for condition in old if condition.type != "Published")
        if taken:
            self._recorder.record(service, "PortTaken", word.message or "", warning=True)
        try:
            await self._cluster.patch_status(service, service.status.but(conditions=(*others, fresh)))
        except ApiError as error:
            log.warning("cannot write the status of %s: %s", service.ref, error)

    def _desired(self) -> NetworkState:
        slices: dict[tuple[str, str], list[EndpointSlice]] = {}
        for piece in self._informers.all(EndpointSlice):
            name = piece.metadata.labels.get(SERVICE_NAME, "")
            slices.setdefault((piece.metadata.namespace or "", name), []).append(piece)
        fresh: dict[str, tuple[tuple[str, ...], ServiceNet]] = {}
        for service in self._informers.all(Service):
            if service.spec.type == "ExternalName":
                continue
            mine = slices.get((service.metadata.namespace or "", service.metadata.name), [])
            mark = tuple(sorted(_version(obj) for obj in (service, *mine)))
            uid = service.metadata.uid or ""
            known = self._cache.get(uid)
            fresh[uid] = known if known is not None and known[0] == mark else (mark, service_net(service, mine))
        self._cache = fresh
        return NetworkState(tuple(self._links()), tuple(net for _, net in fresh.values()), self._policies.now())

    async def policed(self) -> None:
        """Until the policies that there are now are in force; only then may a new pod be connected."""
        while True:
            beat = self._applied.beat
            if self._state is not None and self._state.policies == self._policies.now():
                return
            await self._applied.after(beat)

    async def in_service(self, pods: Iterable[Pod]) -> None:
        """Until the services of these ready pods lead to them: on the way are the endpoints controller and nftables."""
        wanted = {IPv4Address(ip) for pod in pods if self._selected(pod) for ip in pod.ips if "." in ip}
        with trio.move_on_after(PATIENCE):
            while True:
                beat = self._applied.beat
                if wanted <= self._backends:
                    return
                await self._applied.after(beat)

    def _selected(self, pod: Pod) -> bool:
        """Whether a Service is sure to lead to it; a port by name may be one that the pod does not have."""
        return any(
            service.spec.selector
            and service.spec.selector.items() <= pod.metadata.labels.items()
            and any(not isinstance(port.target_port, str) for port in service.spec.ports)
            for service in self._informers.all(Service, namespace=pod.metadata.namespace)
        )

    def api(self, pod: Pod) -> dict[str, str]:
        """Kubernetes' variables for the Service `kubernetes`; a Compose project's pods get none."""
        service = self._informers.one(Service, API)
        if service is None or not service.spec.cluster_ip or STACK in pod.metadata.labels:
            return {}
        host, port = service.spec.cluster_ip, "443"
        names = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        url, linked = f"tcp://{host}:{port}", f"KUBERNETES_PORT_{port}_TCP"
        names |= {"KUBERNETES_SERVICE_PORT_HTTPS": port, "KUBERNETES_PORT": url, linked: url}
        return names | {f"{linked}_PROTO": "tcp", f"{linked}_PORT": port, f"{linked}_ADDR": host}

    async def out_of_service(self, pod: Pod) -> None:
        addresses = {IPv4Address(ip) for ip in pod.ips if "." in ip}
        while True:
            beat = self._applied.beat
            if not addresses & self._backends:
                return
            await self._applied.after(beat)


def _version(obj: KubeObject) -> str:
    return f"{obj.metadata.uid}@{obj.metadata.resource_version}"


def service_net(service: Service, slices: Sequence[EndpointSlice]) -> ServiceNet:
    """A Service with its ready endpoints. Pure."""
    spec = service.spec
    v4 = {_who(e): e for piece in slices if piece.address_type == "IPv4" for e in piece.endpoints if _ready(e)}
    v6 = {_who(e): e for piece in slices if piece.address_type == "IPv6" for e in piece.endpoints if _ready(e)}
    pairs = [
        (endpoint.hostname or _who(endpoint), IPv4Address(endpoint.addresses[0]), IPv6Address(v6[who].addresses[0]))
        for who, endpoint in sorted(v4.items())
        if who in v6
    ]
    addresses = [] if spec.headless else [*spec.cluster_ips] or ([spec.cluster_ip] if spec.cluster_ip else [])
    published = publications(service)
    affinity = spec.session_affinity_config.client_ip if spec.session_affinity_config else None
    return ServiceNet(
        namespace=service.metadata.namespace or "",
        name=service.metadata.name,
        ipv4=next((IPv4Address(ip) for ip in addresses if "." in ip), None),
        ipv6=next((IPv6Address(ip) for ip in addresses if ":" in ip), None),
        ports=tuple(_port(port, slices, pairs, published) for port in spec.ports),
        pods=tuple(pairs),
        aliases=tuple(
            name.strip() for name in service.metadata.annotations.get(ALIASES, "").split(",") if name.strip()
        ),
        sticky=(affinity.timeout_seconds if affinity else 10800) if spec.session_affinity == "ClientIP" else 0,
        any_port=service.metadata.annotations.get(ANY_PORT) == "true",
    )


def _who(endpoint: Endpoint) -> str:
    return (endpoint.target_ref.name if endpoint.target_ref else None) or endpoint.addresses[0]


def _ready(endpoint: Endpoint) -> bool:
    return bool(endpoint.addresses) and endpoint.conditions.ready is not False


def _port(
    port: ServicePort,
    slices: Sequence[EndpointSlice],
    pairs: Iterable[tuple[str, IPv4Address, IPv6Address]],
    published: Sequence[tuple[int, str, Publish]],
) -> Port:
    targets = {
        address: found.port
        for piece in slices
        if piece.address_type == "IPv4"
        for found in piece.ports
        if (found.name or "") == (port.name or "") and found.port
        for endpoint in piece.endpoints
        for address in endpoint.addresses
    }
    return Port(
        name=port.name or "",
        protocol=port.protocol,
        port=port.port,
        backends=tuple(Backend(v4, v6, targets[str(v4)]) for _, v4, v6 in pairs if str(v4) in targets),
        publish=tuple(
            publish for number, protocol, publish in published if number == port.port and protocol == port.protocol
        ),
    )


def publications(service: Service) -> list[tuple[int, str, Publish]]:
    """(service port, protocol, where) of every port of the machine that belongs to the service."""
    found = [
        (entry["port"], entry.get("protocol", "TCP"), Publish(entry.get("hostIP", ""), entry["hostPort"]))
        for entry in json.loads(service.metadata.annotations.get(PUBLISH, "[]"))
    ]
    for port in service.spec.ports:
        if port.node_port:
            found.append((port.port, port.protocol, Publish("", port.node_port)))
        if service.spec.type == "LoadBalancer":
            found.append((port.port, port.protocol, Publish("", port.port)))
    return found
