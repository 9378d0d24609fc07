"""ConfigMap kube-root-ca.crt in every namespace: whom clients inside of the cluster may trust to be its API."""

from collections.abc import Sequence
from typing import Any

from orchestr.api.base import Key, ObjectMeta
from orchestr.api.core import ConfigMap, Namespace
from orchestr.engine import ControllerCluster, Index, Related, Watches
from orchestr.graph import ROOT_CA
from orchestr.server.tls import Tls

FIELD = "ca.crt"
SYSTEM = "kube-system"  # its copy is written when the authority is renewed, and wakes all others
NOTE = {
    "kubernetes.io/description": "The authority of this instance's API. What it signs is the API's and nobody else's."
}


def _namespaces(config: ConfigMap, index: Index) -> Sequence[Key]:
    if config.metadata.name != ROOT_CA:
        return ()
    if config.metadata.namespace == SYSTEM:
        return [namespace.key for namespace in index.all(Namespace)]
    return (Key("", config.metadata.namespace or ""),)


class RootCa:
    """A controller of the daemon's own: only it knows the authority."""

    WATCHES = Watches(Namespace, related=(Related(ConfigMap, _namespaces),))

    def __init__(self, tls: Tls) -> None:
        self._tls = tls

    async def reconcile(self, cluster: ControllerCluster, key: Key) -> None:
        namespace = await cluster.get(Namespace, key)
        if namespace is None or namespace.metadata.deleting:
            return
        data = {FIELD: self._tls.ca_pem.decode()}
        found = await cluster.get(ConfigMap, Key(key.name, ROOT_CA))
        if found is None:
            metadata = ObjectMeta(name=ROOT_CA, namespace=key.name, annotations=NOTE)
            await cluster.create(ConfigMap(metadata=metadata, data=data))
        elif (dict(found.data), found.binary_data) != (data, {}):
            await cluster.update(found.but(data=data, binary_data={}))


async def renewed(cluster: Any, tls: Tls) -> None:
    """Spreads a new authority."""
    found = await cluster.get(ConfigMap, Key(SYSTEM, ROOT_CA))
    if found is not None:
        await cluster.update(found.but(data={FIELD: tls.ca_pem.decode()}))
