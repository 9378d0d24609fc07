"""ServiceAccount (core/v1): every namespace has one called `default`, for pods that name none."""

from collections.abc import Sequence

from orchestr.api.base import ObjectMeta
from orchestr.api.core import Namespace
from orchestr.api.serviceaccount import ServiceAccount
from orchestr.engine import ControllerCluster, Index, Key, Related, Watches

NAME = "default"


def _its_namespace(account: ServiceAccount, _index: Index) -> Sequence[Key]:
    return (Key("", account.metadata.namespace or ""),) if account.metadata.name == NAME else ()


WATCHES = Watches(Namespace, related=(Related(ServiceAccount, _its_namespace),))


async def reconcile(cluster: ControllerCluster, key: Key) -> None:
    namespace = await cluster.get(Namespace, key)
    if namespace is None or namespace.metadata.deleting:
        return
    if await cluster.get(ServiceAccount, Key(key.name, NAME)) is None:
        await cluster.create(ServiceAccount(metadata=ObjectMeta(name=NAME, namespace=key.name)))
