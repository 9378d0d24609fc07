"""What workload controllers ask of pods: making one from a template, since when it is available, when it ended."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from orchestr.api.base import KubeObject, ObjectMeta
from orchestr.api.pod import Pod, PodTemplateSpec


def pod_of(owner: KubeObject, template: PodTemplateSpec, name: str, labels: Mapping[str, str] | None = None) -> Pod:
    """A pod from the template that `owner` controls; `labels` come on top of the template's."""
    return Pod(
        metadata=ObjectMeta(
            name=name,
            namespace=owner.metadata.namespace,
            labels={**template.metadata.labels, **(labels or {})},
            annotations=template.metadata.annotations,
            finalizers=template.metadata.finalizers,
            owner_references=(owner.owner_reference(),),
        ),
        spec=template.spec,
    )


def available_at(pod: Pod, min_ready: int) -> datetime | None:
    """When the pod counts as available: `min_ready` seconds after it got ready. None while it is not ready."""
    ready = pod.status.condition("Ready")
    if ready is None or ready.status != "True" or pod.metadata.deleting:
        return None
    return (ready.last_transition_time or pod.metadata.created) + timedelta(seconds=min_ready)


def ended_at(pod: Pod) -> datetime:
    """When the last container of a finished pod ended, as far as is known."""
    ends = [
        status.state.terminated.finished_at
        for status in pod.status.container_statuses
        if status.state.terminated and status.state.terminated.finished_at
    ]
    return max(ends, default=pod.status.start_time or pod.metadata.created)
