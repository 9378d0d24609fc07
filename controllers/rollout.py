"""How far a Deployment may move its ReplicaSets in one step. Pure arithmetic, with Kubernetes' rounding.

Two rules hold at every step of a rolling update (`pkg/controller/deployment/rolling.go`): no more than replicas +
maxSurge pods are asked for, and no scaling down takes the available ones below replicas - maxUnavailable.
"""

from collections.abc import Sequence
from typing import NamedTuple

from orchestr.api.apps import Deployment, ReplicaSet, RollingUpdateDeployment
from orchestr.api.meta import scaled


class Bounds(NamedTuple):
    surge: int  # pods above replicas
    unavailable: int  # pods below replicas


class Scale(NamedTuple):
    rs: ReplicaSet
    replicas: int


def bounds(deployment: Deployment) -> Bounds:
    """maxSurge rounded up, maxUnavailable rounded down; when both are 0, one may be unavailable, or nothing moves."""
    wanted = deployment.spec.replicas
    if deployment.spec.strategy.type == "Recreate":
        return Bounds(0, wanted)
    rolling = deployment.spec.strategy.rolling_update or RollingUpdateDeployment()
    surge = scaled(rolling.max_surge, wanted, up=True)
    unavailable = scaled(rolling.max_unavailable, wanted, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Bounds(surge, min(unavailable, wanted))


def new_replicas(deployment: Deployment, current: int, olds: Sequence[ReplicaSet]) -> int:
    """How many pods the newest ReplicaSet, which asks for `current`, may ask for now."""
    wanted = deployment.spec.replicas
    if current >= wanted or deployment.spec.strategy.type == "Recreate":
        return wanted
    total = current + sum(rs.spec.replicas for rs in olds)
    room = wanted + bounds(deployment).surge - total
    return current + max(min(room, wanted - current), 0)


def roll(deployment: Deployment, new: ReplicaSet, olds: Sequence[ReplicaSet]) -> tuple[Scale, ...]:
    """One step of a rolling update: the new one up or down, then the old ones down."""
    target = new_replicas(deployment, new.spec.replicas, olds)
    if target != new.spec.replicas:
        return (Scale(new, target),)
    return shrink(deployment, new, olds)


def shrink(deployment: Deployment, new: ReplicaSet, olds: Sequence[ReplicaSet]) -> tuple[Scale, ...]:
    """Takes down old pods: first those that serve nobody, then as many available ones as are not needed."""
    live = sorted((rs for rs in olds if rs.spec.replicas > 0), key=lambda rs: rs.metadata.created)
    needed = deployment.spec.replicas - bounds(deployment).unavailable
    total = new.spec.replicas + sum(rs.spec.replicas for rs in live)
    # New pods that are not available yet might never be: they do not count for what must stay.
    spare = total - needed - max(new.spec.replicas - _available(new), 0)
    targets = {rs.key: rs.spec.replicas for rs in live}
    for rs in live:
        unhealthy = max(rs.spec.replicas - _available(rs), 0)
        taken = max(min(unhealthy, spare), 0)
        targets[rs.key] -= taken
        spare -= taken
    surplus = min(
        spare,
        min(_available(new), new.spec.replicas) + sum(min(_available(rs), rs.spec.replicas) for rs in live) - needed,
    )
    for rs in live:
        taken = max(min(targets[rs.key], surplus), 0)
        targets[rs.key] -= taken
        surplus -= taken
    return tuple(Scale(rs, targets[rs.key]) for rs in live if targets[rs.key] != rs.spec.replicas)


def spread(deployment: Deployment, sets: Sequence[ReplicaSet]) -> tuple[Scale, ...]:
    """Scaling while paused: the difference goes to the newest first; nothing rolls."""
    live = sorted(sets, key=lambda rs: rs.metadata.created, reverse=True)
    gap = deployment.spec.replicas - sum(rs.spec.replicas for rs in live)
    if not live or gap == 0:
        return ()
    if gap > 0:
        holder = next((rs for rs in live if rs.spec.replicas), live[0])
        return (Scale(holder, holder.spec.replicas + gap),)
    steps = []
    for rs in reversed(live):  # the oldest shrink first
        taken = min(rs.spec.replicas, -gap)
        gap += taken
        if taken:
            steps.append(Scale(rs, rs.spec.replicas - taken))
    return tuple(steps)


def _available(rs: ReplicaSet) -> int:
    return rs.status.available_replicas or 0
