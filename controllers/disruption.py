"""PodDisruptionBudget (policy/v1): counts what is healthy, and how many evictions that allows.

Evictions take from the count themselves and note the pod in disruptedPods, so that a burst of them does not all see the
same count. Source: pkg/controller/disruption of Kubernetes.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from orchestr.api.apps import Deployment, ReplicaSet
from orchestr.api.base import Condition
from orchestr.api.disruption import PodDisruptionBudget, PodDisruptionBudgetStatus
from orchestr.api.meta import scaled
from orchestr.api.pod import Pod
from orchestr.api.replication import ReplicationController
from orchestr.api.statefulset import StatefulSet
from orchestr.engine import After, ControllerCluster, Index, Key, Related, Watches
from orchestr.engine.conditions import with_condition

PATIENCE = timedelta(minutes=2)  # after which an eviction that deleted nothing is forgotten


def _budgets(pod: Pod, index: Index) -> Iterator[Key]:
    for budget in index.all(PodDisruptionBudget, namespace=pod.key.namespace):
        if selects(budget, pod):
            yield budget.key


def _all_budgets(obj: Deployment | ReplicaSet | ReplicationController, index: Index) -> list[Key]:
    """How many pods there should be may have changed."""
    return [budget.key for budget in index.all(PodDisruptionBudget, namespace=obj.key.namespace)]


WATCHES = Watches(
    PodDisruptionBudget,
    related=(
        Related(Pod, _budgets),
        *(Related(k, _all_budgets) for k in (Deployment, ReplicaSet, ReplicationController, StatefulSet)),
    ),
)


def selects(budget: PodDisruptionBudget, pod: Pod) -> bool:
    return budget.spec.selector is not None and budget.spec.selector.matches(pod.metadata.labels)


def wanted(budget: PodDisruptionBudget, pods: Sequence[Pod], scale: int) -> tuple[int, int]:
    """(pods there should be, healthy ones at least). Percentages are of `scale`, what the owners ask for. Pure."""
    spec = budget.spec
    if spec.max_unavailable is not None:
        return scale, max(scale - scaled(spec.max_unavailable, scale, up=True), 0)
    if isinstance(spec.min_available, str):
        return scale, scaled(spec.min_available, scale, up=True)
    return len(pods), spec.min_available or 0


def status(budget: PodDisruptionBudget, pods: Sequence[Pod], scale: int, now: datetime) -> PodDisruptionBudgetStatus:
    """What the budget allows now. Pure."""
    evicted = _pending(budget.status.disrupted_pods, pods, now)
    pods = [pod for pod in pods if not pod.finished]
    healthy = sum(pod.ready and not pod.metadata.deleting and pod.metadata.name not in evicted for pod in pods)
    expected, least = wanted(budget, pods, scale)
    allowed = max(healthy - least, 0) if expected > 0 else 0
    enough = Condition(
        type="DisruptionAllowed",
        status="True" if allowed else "False",
        reason="SufficientPods" if allowed else "InsufficientPods",
        observed_generation=budget.metadata.generation,
    )
    return PodDisruptionBudgetStatus(
        observed_generation=budget.metadata.generation,
        disrupted_pods=evicted,
        disruptions_allowed=allowed,
        current_healthy=healthy,
        desired_healthy=least,
        expected_pods=expected,
        conditions=with_condition(budget.status.conditions, enough, now),
    )


def _pending(evicted: Mapping[str, datetime], pods: Sequence[Pod], now: datetime) -> dict[str, datetime]:
    """Evictions whose pod is not yet being deleted."""
    there = {pod.metadata.name for pod in pods if not pod.metadata.deleting}
    return {name: at for name, at in evicted.items() if name in there and now - at < PATIENCE}


async def reconcile(cluster: ControllerCluster, key: Key) -> After | None:
    """Counts anew."""
    budget = await cluster.get(PodDisruptionBudget, key)
    if budget is None or budget.metadata.deleting:
        return None
    pods = [pod for pod in await cluster.list(Pod, namespace=key.namespace) if selects(budget, pod)]
    now = status(budget, pods, _scale(cluster, pods), cluster.now())
    await cluster.patch_status(budget, now)
    return After(PATIENCE.total_seconds()) if now.disrupted_pods else None


def _scale(cluster: ControllerCluster, pods: Sequence[Pod]) -> int:
    """How many pods the owners of these ask for."""
    found: dict[str, int] = {}
    for pod in pods:
        owner = pod.metadata.controller
        if owner is None:
            continue
        key = Key(pod.key.namespace, owner.name)
        if owner.kind == "ReplicationController":
            rc = cluster.one(ReplicationController, key)
            found[owner.uid] = rc.spec.replicas if rc else 0
        elif owner.kind == "StatefulSet":
            sts = cluster.one(StatefulSet, key)
            found[owner.uid] = sts.spec.replicas if sts else 0
        elif owner.kind == "ReplicaSet" and (rs := cluster.one(ReplicaSet, key)):
            above = rs.metadata.controller
            deployment = cluster.one(Deployment, Key(key.namespace, above.name)) if above else None
            found[above.uid if above else owner.uid] = (deployment or rs).spec.replicas
    return sum(found.values())
