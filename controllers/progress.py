"""What a Deployment's status says: counts, and the conditions Available, Progressing and ReplicaFailure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from controllers.rollout import bounds
from orchestr.api.apps import Deployment, DeploymentStatus, ReplicaSet
from orchestr.api.base import Condition
from orchestr.engine import After, ApiError
from orchestr.engine.conditions import condition, second, with_condition, without_condition

AVAILABLE, PROGRESSING, FAILURE = "Available", "Progressing", "ReplicaFailure"
COMPLETE, EXCEEDED, PAUSED = "NewReplicaSetAvailable", "ProgressDeadlineExceeded", "DeploymentPaused"


def status(
    deployment: Deployment,
    new: ReplicaSet | None,
    sets: Sequence[ReplicaSet],
    now: datetime,
    *,
    created: bool = False,
    refused: ApiError | None = None,
) -> DeploymentStatus:
    """The status as the ReplicaSets' own say it. `created`: the new one was made in this run. Pure."""
    counts = _counts(deployment, new, sets)
    conditions = deployment.status.conditions
    conditions = with_condition(conditions, _available(deployment, counts), now)
    conditions = _failure(conditions, sets, refused, now)
    if (moved := _progressing(deployment, counts, new, now, created=created)) is not None:
        conditions = with_condition(conditions, moved, now)
    return counts.but(conditions=conditions)


def _counts(deployment: Deployment, new: ReplicaSet | None, sets: Sequence[ReplicaSet]) -> DeploymentStatus:
    total = sum(rs.status.replicas for rs in sets)
    available = sum(rs.status.available_replicas or 0 for rs in sets)
    return DeploymentStatus(
        observed_generation=deployment.metadata.generation,
        replicas=total,
        updated_replicas=new.status.replicas if new else 0,
        ready_replicas=sum(rs.status.ready_replicas or 0 for rs in sets),
        available_replicas=available,
        unavailable_replicas=max(max(total, deployment.spec.replicas) - available, 0),
        terminating_replicas=sum(rs.status.terminating_replicas or 0 for rs in sets),
        collision_count=deployment.status.collision_count,
    )


def serves(deployment: Deployment, new: ReplicaSet) -> bool:
    """All wanted pods are of the new template and available."""
    wanted = deployment.spec.replicas
    return new.spec.replicas == new.status.replicas == (new.status.available_replicas or 0) == wanted


def _available(deployment: Deployment, counts: DeploymentStatus) -> Condition:
    enough = (counts.available_replicas or 0) >= deployment.spec.replicas - bounds(deployment).unavailable
    word = "has" if enough else "does not have"
    return Condition(
        type=AVAILABLE,
        status="True" if enough else "False",
        reason=f"MinimumReplicas{'Available' if enough else 'Unavailable'}",
        message=f"Deployment {word} minimum availability.",
    )


def _failure(
    conditions: tuple[Condition, ...], sets: Sequence[ReplicaSet], refused: ApiError | None, now: datetime
) -> tuple[Condition, ...]:
    if refused:
        failed: Condition | None = Condition(type=FAILURE, status="True", reason="FailedCreate", message=str(refused))
    else:
        failed = next((each for rs in sets if (each := condition(rs.status.conditions, FAILURE))), None)
    return with_condition(conditions, failed, now) if failed else without_condition(conditions, FAILURE)


def _progressing(
    deployment: Deployment, counts: DeploymentStatus, new: ReplicaSet | None, now: datetime, *, created: bool
) -> Condition | None:
    """The new condition Progressing; None where the old one stands."""
    old = condition(deployment.status.conditions, PROGRESSING)
    name = f'ReplicaSet "{new.metadata.name}"' if new else f'Deployment "{deployment.metadata.name}"'
    if deployment.spec.paused:
        if old is not None and old.reason == PAUSED:
            return None
        return _is("Unknown", PAUSED, "Deployment is paused", now)
    if old is not None and old.reason == PAUSED:
        return _is("Unknown", "DeploymentResumed", "Deployment is resumed", now)
    if _complete(deployment, counts):
        if old is not None and old.reason == COMPLETE:
            return None
        return _is("True", COMPLETE, f"{name} has successfully progressed.", now)
    if created:
        return _is("True", "NewReplicaSetCreated", f"Created new replica set {name}", now)
    if old is None or _moved(deployment.status, counts):
        return _is("True", "ReplicaSetUpdated", f"{name} is progressing.", now)
    if old.reason == COMPLETE and counts.replicas == counts.updated_replicas:
        return None  # the rollout is over; a pod that fails later does not undo that
    if old.reason == EXCEEDED or now < _deadline(deployment, old):
        return None
    return _is("False", EXCEEDED, f"{name} has timed out progressing.", now)


def _is(status: str, reason: str, message: str, now: datetime) -> Condition:
    return Condition(type=PROGRESSING, status=status, reason=reason, message=message, last_update_time=second(now))


def _complete(deployment: Deployment, counts: DeploymentStatus) -> bool:
    return counts.updated_replicas == counts.replicas == counts.available_replicas == deployment.spec.replicas


def _moved(before: DeploymentStatus, now: DeploymentStatus) -> bool:
    return (
        (now.updated_replicas or 0) > (before.updated_replicas or 0)
        or (now.ready_replicas or 0) > (before.ready_replicas or 0)
        or (now.available_replicas or 0) > (before.available_replicas or 0)
        or _old_pods(now) < _old_pods(before)
    )


def _old_pods(counts: DeploymentStatus) -> int:
    return (counts.replicas or 0) - (counts.updated_replicas or 0)


def _deadline(deployment: Deployment, old: Condition) -> datetime:
    since = old.last_update_time or old.last_transition_time or deployment.metadata.created
    return since + timedelta(seconds=deployment.spec.progress_deadline_seconds)


def next_check(deployment: Deployment, status: DeploymentStatus, now: datetime) -> After | None:
    """When the progress deadline passes: no watch event tells."""
    current = condition(status.conditions, PROGRESSING)
    if current is None or current.reason in (COMPLETE, EXCEEDED, PAUSED):
        return None
    return After(max((_deadline(deployment, current) - now).total_seconds(), 0.0) + 0.001)
