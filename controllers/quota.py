"""ResourceQuota (core/v1): status.used is what the namespace uses.

On our own store it always is: every write charges it. This is the safety net: at the start, when a quota does not
count what its spec limits, and every ten minutes, the truth is counted again and written where it differs. One key
stands for all quotas of a namespace, so that the many charges of a busy namespace wake nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from orchestr.api import scheme
from orchestr.api.base import Key, KubeObject
from orchestr.api.core import Namespace, ResourceQuota
from orchestr.api.namespace import ResourceQuotaStatus
from orchestr.api.quantity import parse
from orchestr.api.usage import text, total
from orchestr.engine import After, Index, Related, Watches
from orchestr.engine.controller import ControllerCluster

AGAIN = 600.0  # seconds
KINDS = tuple(kind for kind in scheme.KINDS if kind.NAMESPACED)


def uncounted(quota: KubeObject, index: Index) -> Sequence[Key]:
    """The namespace of a quota whose status does not answer its spec."""
    assert isinstance(quota, ResourceQuota)
    hard, status = quota.spec.hard, quota.status
    counted = status.hard == hard and status.used.keys() >= hard.keys()
    return () if counted else (Key("", quota.metadata.namespace or ""),)


WATCHES = Watches(Namespace, related=(Related(ResourceQuota, uncounted),), reads=KINDS)


def status(quota: ResourceQuota, used: Mapping[str, Decimal]) -> ResourceQuotaStatus:
    """The status that a quota should have; the stored one when the amounts are the same. Pure."""
    now = {name: used.get(name, Decimal(0)) for name in quota.spec.hard}
    was = {name: parse(value) for name, value in quota.status.used.items()}
    if was == now and quota.status.hard == quota.spec.hard:
        return quota.status
    return ResourceQuotaStatus(hard=quota.spec.hard, used={name: text(name, value) for name, value in now.items()})


async def reconcile(cluster: ControllerCluster, key: Key) -> After | None:
    """Counts one namespace and writes those of its quotas that are wrong."""
    quotas = cluster.all(ResourceQuota, namespace=key.name)
    if not quotas:
        return None
    customs = [kind for kind in scheme.stored_customs() if kind.NAMESPACED]
    others = [obj for kind in customs for obj in await cluster.list(kind, namespace=key.name)]
    used = total([*_content(cluster, key.name), *others])
    for quota in quotas:
        await cluster.patch_status(quota, status(quota, used))
    return After(AGAIN)


def _content(cluster: ControllerCluster, namespace: str) -> Iterable[KubeObject]:
    return (obj for kind in KINDS for obj in cluster.all(kind, namespace=namespace))
