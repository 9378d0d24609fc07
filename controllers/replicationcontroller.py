"""ReplicationController (core/v1): what a ReplicaSet does, by a plain map of labels."""

from controllers.replicaset import difference, next_change, status
from orchestr.api.apps import ReplicaSet, ReplicaSetSpec, ReplicaSetStatus
from orchestr.api.meta import LabelSelector
from orchestr.api.pod import Pod
from orchestr.api.replication import ReplicationController, ReplicationControllerStatus
from orchestr.engine import After, ApiError, ControllerCluster, Key, Refused, Related, Watches
from orchestr.engine.controller import Index
from orchestr.engine.ownership import claimed


def _adopters(pod: Pod, index: Index) -> list[Key]:
    """A pod that nobody controls may be one that a ReplicationController selects."""
    if pod.metadata.controller:
        return []
    all_ = index.all(ReplicationController, namespace=pod.key.namespace)
    return [rc.key for rc in all_ if rc.spec.selector.items() <= pod.metadata.labels.items()]


WATCHES = Watches(ReplicationController, owns=(Pod,), related=(Related(Pod, _adopters),))


def as_set(rc: ReplicationController) -> ReplicaSet:
    """The ReplicaSet that would do the same. Pure."""
    assert rc.spec.template is not None  # validation asks for it
    spec = ReplicaSetSpec(
        selector=LabelSelector(match_labels=rc.spec.selector),
        template=rc.spec.template,
        replicas=rc.spec.replicas,
        min_ready_seconds=rc.spec.min_ready_seconds,
    )
    told = ReplicaSetStatus(replicas=rc.status.replicas, conditions=rc.status.conditions)
    return ReplicaSet(api_version=rc.api_version, kind=rc.kind, metadata=rc.metadata, spec=spec, status=told)


async def reconcile(cluster: ControllerCluster, key: Key) -> After | None:
    """One step, as a ReplicaSet's."""
    rc = await cluster.get(ReplicationController, key)
    if rc is None or rc.spec.template is None:
        return None
    rs = as_set(rc)
    pods = await claimed(cluster, rs, Pod, rs.spec.selector)
    refused: ApiError | None = None
    if not rc.metadata.deleting:
        todo = difference(rs, pods, [pod.metadata.name for pod in cluster.orphans(Pod, key.namespace)])
        try:
            pods = [*pods, *await cluster.create_all(todo.create)]
        except Refused as error:
            refused = error
            cluster.record(rc, "FailedCreate", f"cannot create pod: {error}", warning=True)
        await cluster.delete_all(todo.delete)
        gone = {pod.metadata.name for pod in todo.delete}
        pods = [pod for pod in pods if pod.metadata.name not in gone]
    now = status(rs, pods, refused, cluster.now())
    same = {name: getattr(now, name) for name in ReplicationControllerStatus.model_fields}
    await cluster.patch_status(rc, ReplicationControllerStatus(**same))
    if refused:
        raise refused
    return next_change(rs, pods, cluster.now())
