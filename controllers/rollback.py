"""A Deployment that goes back by itself: annotation `orchestr.dev/rollback`, from Compose's `failure_action: rollback`.

The spec keeps saying what is wanted. A ReplicaSet whose pods do not come up is marked as failed; from then on the
rollout goes to the newest one before it that is not. The condition Progressing says so, until another template is
wanted. Pure.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from controllers import progress
from orchestr.api.apps import POD_TEMPLATE_HASH, Deployment, DeploymentStatus, DeploymentStrategy, ReplicaSet
from orchestr.api.base import Condition
from orchestr.api.pod import Pod
from orchestr.engine.conditions import condition, second, with_condition
from orchestr.graph import trouble as why_not
from orchestr.manifest.compose.compiler import ROLLBACK  # JSON: {"strategy": {...}, "minReadySeconds": 5}

FAILED = "orchestr.dev/failed"  # of a ReplicaSet: why
BACK_TO = "orchestr.dev/rolled-back-to"  # of the same: the one that is run instead
ROLLING, ROLLED = "RollingBack", "RolledBack"
CRASHES = 3  # of one container that is not ready; as many as `orch apply` waits for
HOPELESS = ("ErrImageNeverPull", "InvalidImageName", "ImagePullBackOff", "CreateContainerConfigError", "StartError")


def wanted(deployment: Deployment) -> bool:
    return ROLLBACK in deployment.metadata.annotations


def failed(rs: ReplicaSet) -> str:
    return rs.metadata.annotations.get(FAILED, "")


def marked(rs: ReplicaSet, why: str, to: ReplicaSet) -> ReplicaSet:
    annotations = {**rs.metadata.annotations, FAILED: why, BACK_TO: to.metadata.name}
    return rs.but(metadata=rs.metadata.but(annotations=annotations))


def target(new: ReplicaSet, sets: Sequence[ReplicaSet]) -> ReplicaSet | None:
    """The newest before it that is not marked."""
    good = [rs for rs in sets if not failed(rs) and not rs.metadata.deleting and rs.revision < new.revision]
    return max(good, key=lambda rs: rs.revision, default=None)


def trouble(deployment: Deployment, new: ReplicaSet, pods: Sequence[Pod]) -> str:
    """Why the newest template is given up, "" while there is hope."""
    told = condition(deployment.status.conditions, progress.PROGRESSING)
    current = deployment.status.observed_generation == deployment.metadata.generation
    if told and told.reason == progress.EXCEEDED and current:
        return told.message or told.reason
    for pod in pods:
        if pod.ready or pod.metadata.deleting:
            continue
        for each in pod.status.container_statuses:
            waits = each.state.waiting.reason if each.state.waiting else None
            if each.restart_count >= CRASHES or waits in HOPELESS:
                return why_not(pod).partition("; next try")[0] or f"{each.restart_count} restarts"
    return ""


def effective(deployment: Deployment, new: ReplicaSet | None, sets: Sequence[ReplicaSet]) -> Deployment:
    """The Deployment as it is carried out: with the template to go back to, when its own has failed."""
    name = new.metadata.annotations.get(BACK_TO) if new else None
    good = next((rs for rs in sets if rs.metadata.name == name and not rs.metadata.deleting), None)
    if good is None:
        return deployment
    how: dict[str, Any] = json.loads(deployment.metadata.annotations[ROLLBACK])
    meta = good.spec.template.metadata
    labels = {key: value for key, value in meta.labels.items() if key != POD_TEMPLATE_HASH}
    spec = deployment.spec.but(
        template=good.spec.template.but(metadata=meta.but(labels=labels)),
        min_ready_seconds=int(how.get("minReadySeconds", deployment.spec.min_ready_seconds)),
    )
    if "strategy" in how:
        spec = spec.but(strategy=DeploymentStrategy.model_validate(how["strategy"]))
    return deployment.but(spec=spec)


def nowhere(counts: DeploymentStatus, why: str, now: datetime) -> DeploymentStatus:
    """It failed, and there is none to go back to."""
    return counts.but(conditions=_told(counts, "False", "UpdateFailed", why, now))


def status(
    deployment: Deployment, bad: ReplicaSet | None, good: ReplicaSet, counts: DeploymentStatus, now: datetime
) -> DeploymentStatus:
    """`counts`: the status of the Deployment as it is carried out."""
    over = progress.serves(deployment, good) and counts.replicas == deployment.spec.replicas
    number, why = (bad.revision, failed(bad)) if bad else (0, "")
    text = f"revision {number} failed ({why}), {'went' if over else 'goes'} back to an earlier one"
    told = _told(counts, "False" if over else "True", ROLLED if over else ROLLING, text, now)
    return counts.but(conditions=told)


def _told(counts: DeploymentStatus, status: str, reason: str, message: str, now: datetime) -> tuple[Condition, ...]:
    told = Condition(
        type=progress.PROGRESSING, status=status, reason=reason, message=message, last_update_time=second(now)
    )
    return with_condition(counts.conditions, told, now)
