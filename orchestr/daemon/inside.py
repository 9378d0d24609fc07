"""The API as pods see it: the Service `kubernetes` in `default`, whose endpoint is the daemon on the bridge."""

from orchestr.agent.env import MissingConfig
from orchestr.api.base import Key, KubeObject, ObjectMeta
from orchestr.api.core import Node, Pod, Service, ServicePort, ServiceSpec
from orchestr.api.discovery import SERVICE_NAME, Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from orchestr.api.meta import ObjectReference
from orchestr.api.serviceaccount import ServiceAccount
from orchestr.network.addresses import Networks
from orchestr.server.tls import Tls
from orchestr.server.tokens import Issuer
from orchestr.store.local import LocalCluster

NAME, NAMESPACE, PORT = "kubernetes", "default", 443
MARKS = {"component": "apiserver", "provider": "kubernetes"}


async def publish(cluster: LocalCluster, ranges: Networks, port: int, node: str) -> None:
    """Makes the Service and its endpoints say where the daemon listens now."""
    key = Key(NAMESPACE, NAME)
    if await cluster.get(Service, key) is None:
        await cluster.create(_service(ranges))
    for wanted in slices(ranges, port, node):
        found = await cluster.get(EndpointSlice, wanted.key)
        if found is None:
            await cluster.create(wanted)
        elif (found.endpoints, found.ports) != (wanted.endpoints, wanted.ports):
            await cluster.update(found.but(endpoints=wanted.endpoints, ports=wanted.ports))


def _service(ranges: Networks) -> Service:
    addresses = (str(ranges.services4[1]), str(ranges.services6[1]))
    spec = ServiceSpec(
        ports=(ServicePort(name="https", port=PORT, target_port=PORT),),
        cluster_ip=addresses[0],
        cluster_ips=addresses,
    )
    return Service(metadata=ObjectMeta(name=NAME, namespace=NAMESPACE, labels=MARKS), spec=spec)


def slices(ranges: Networks, port: int, node: str) -> list[EndpointSlice]:
    """One of each family; both name the machine, by which the two addresses are known as one backend. Pure."""
    ends = {"IPv4": ("kubernetes", str(ranges.gateway4)), "IPv6": ("kubernetes-ipv6", str(ranges.gateway6))}
    return [
        EndpointSlice(
            metadata=ObjectMeta(name=name, namespace=NAMESPACE, labels={SERVICE_NAME: NAME}),
            address_type=family,
            endpoints=(
                Endpoint(
                    addresses=(address,),
                    conditions=EndpointConditions(ready=True),
                    target_ref=ObjectReference(kind="Node", name=node),
                ),
            ),
            ports=(EndpointPort(name="https", port=port, protocol="TCP"),),
        )
        for family, (name, address) in ends.items()
    ]


class PodIdentity:
    """Who pods are towards the API; what agent.node.Identity asks for."""

    def __init__(self, cluster: LocalCluster, issuer: Issuer, tls: Tls) -> None:
        self._cluster, self._issuer, self._tls = cluster, issuer, tls

    def ca(self) -> bytes:
        return self._tls.ca_pem

    def token(self, pod: Pod, audience: str, seconds: int) -> str:
        """MissingConfig when the pod's account is not there."""
        name = pod.spec.service_account_name or "default"
        account = self._cluster.row(ServiceAccount, Key(pod.metadata.namespace or "", name))
        if account is None or not isinstance(account.object, ServiceAccount):
            raise MissingConfig(f"ServiceAccount {name} does not exist")
        node = self._cluster.row(Node, Key("", pod.spec.node_name or ""))
        bound: list[KubeObject] = [pod, *([node.object] if node else [])]
        return self._issuer.issue(account.object, (audience,) if audience else (), seconds, bound)[0]
