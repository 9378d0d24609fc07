"""Hypothesis strategies for pods in any state."""

from datetime import timedelta

from hypothesis import strategies as st

from orchestr.api.base import Condition, ObjectMeta
from orchestr.api.pod import ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodSpec, PodStatus
from tests.engine.fake import START

times = st.integers(0, 1000).map(lambda seconds: START + timedelta(seconds=seconds))


@st.composite
def pods(draw: st.DrawFn, owner: object = None, labels: dict[str, str] | None = None) -> Pod:
    phase = draw(st.sampled_from([None, "Pending", "Running", "Running", "Succeeded", "Failed"]))
    created = draw(times)
    ready = phase == "Running" and draw(st.booleans())
    ended = ContainerState(terminated=ContainerStateTerminated(exit_code=int(phase == "Failed"), finished_at=created))
    containers = (ContainerStatus(name="main", state=ended),) if phase in ("Succeeded", "Failed") else ()
    return Pod(
        metadata=ObjectMeta(
            name=f"pod-{draw(st.integers(0, 99))}",
            namespace="ns",
            labels=labels or {},
            creation_timestamp=created,
            deletion_timestamp=draw(st.none() | times),
        ),
        spec=PodSpec(node_name=draw(st.sampled_from([None, "here"]))),
        status=PodStatus(
            phase=phase,
            conditions=(Condition(type="Ready", status=str(ready), last_transition_time=created),),
            container_statuses=containers,
        ),
    )


def pod_lists(**options: object) -> st.SearchStrategy[list[Pod]]:
    return st.lists(pods(**options), max_size=12, unique_by=lambda pod: pod.metadata.name)  # type: ignore[arg-type]
