"""The verdicts of apply and wait: what is done, what may still come, what is hopeless. Wire objects in."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.cli.converge import judge
from orchestr.cli.why import pod_why

Object = dict[str, Any]


def obj(kind: str, status: Object | None = None, **more: Any) -> Object:
    meta = {"name": "x", "namespace": "ns", "uid": "u", "generation": 2, **more.pop("metadata", {})}
    return {"kind": kind, "metadata": meta, "status": status or {}, **more}


def pod(state: Object | None = None, *, phase: str = "Running", ready: bool = False, **container: Any) -> Object:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    status = {"phase": phase, "conditions": conditions}
    status["containerStatuses"] = [{"name": "main", "state": state or {}, **container}]
    return obj(
        "Pod", status, spec={"containers": [{"name": "main"}]}, metadata={"creationTimestamp": "2026-01-01T00:00:00Z"}
    )


def condition(type: str, status: str, **more: str) -> Object:
    return {"type": type, "status": status, **more}


def deployment(**status: Any) -> Object:
    return obj("Deployment", {"observedGeneration": 2} | status, spec={"replicas": 2})


def counts(total: int, updated: int, available: int) -> Object:
    return {"replicas": total, "updatedReplicas": updated, "availableReplicas": available}


TAKEN = {"conditions": [condition("Published", "False", message="held by nginx")]}
CRASHED = {"restartCount": 3, "lastState": {"terminated": {"exitCode": 7}}}


@pytest.mark.parametrize(("what", "pods", "state", "text"), [
    (deployment(**counts(2, 2, 2)), [], "done", "2/2 ready"),
    (deployment(**counts(3, 2, 2)), [], "waiting", "2/2 ready"),
    (deployment(**counts(2, 1, 2)), [], "waiting", ""),
    (deployment(**{**counts(2, 2, 2), "observedGeneration": 1}), [], "waiting", "not looked at"),
    (deployment(**counts(2, 2, 0)), [pod(**CRASHED)], "failed", "crash loop (3 restarts): exit code 7"),
    (deployment(**counts(2, 2, 0)), [pod(**{**CRASHED, "restartCount": 2})], "waiting", ""),
    (deployment(**counts(2, 2, 1)), [pod(**CRASHED, ready=True)], "waiting", ""),
    (deployment(conditions=[condition("Progressing", "False", reason="ProgressDeadlineExceeded", message="too slow")]),
     [], "failed", "too slow"),
    (deployment(conditions=[condition("ReplicaFailure", "True", message="exceeded quota")]), [], "failed", "quota"),
    (obj("Job", {"conditions": [condition("Complete", "True")]}), [], "done", "complete"),
    (obj("Job", {"conditions": [condition("Failed", "True", message="too often")]}), [], "failed", "too often"),
    (obj("Job"), [pod(**CRASHED)], "waiting", "running"),
    (pod(ready=True), [], "done", "ready"),
    (pod(phase="Succeeded"), [], "done", "complete"),
    (pod({"terminated": {"exitCode": 3}}, phase="Failed"), [], "failed", "exit code 3"),
    (pod({"waiting": {"reason": "ErrImagePull", "message": "no image"}}), [], "failed", "no image"),
    (pod({"waiting": {"reason": "ExecutableNotFound", "message": "no command"}}), [], "failed", "no command"),
    (pod({"waiting": {"reason": "ContainerCreating", "message": "soon"}}), [], "waiting", "soon"),
    (obj("PersistentVolumeClaim", {"phase": "Bound"}), [], "done", ""),
    (obj("PersistentVolumeClaim"), [], "waiting", "not bound"),
    (obj("ConfigMap"), [], "done", ""),
    (obj("Deployment", metadata={"deletionTimestamp": "now"}), [], "waiting", "being deleted"),
    (obj("Service", spec={"type": "ClusterIP"}), [], "done", ""),
    (obj("Service", spec={"type": "NodePort"}), [], "waiting", "not open yet"),
    (obj("Service", {"conditions": [condition("Published", "True")]}, spec={"type": "NodePort"}), [], "done", ""),
    (obj("Service", TAKEN, spec={"type": "NodePort"}), [], "failed", "held by nginx"),
])  # fmt: skip
def test_verdicts(what: Object, pods: list[Object], state: str, text: str) -> None:
    found = judge(what, pods)
    assert found.state == state, found
    assert text in found.text


def stack(*phases: str, ready: bool = False) -> Object:
    rows = [{"name": f"s{i}", "phase": phase} for i, phase in enumerate(phases)]
    conditions = [condition("Ready", "True" if ready else "False")]
    return obj("Stack", {"observedGeneration": 2, "services": rows, "conditions": conditions}, spec={"services": {}})


def test_a_stack_is_rolled_back_when_all_that_failed_are() -> None:
    """What fails without a service that failed, as a port that is taken, is no rollback."""
    failed = condition("Failed", "True", reason="PortTaken", message="held by nginx")
    rows = [{"name": "a", "phase": "Failed", "reason": "RolledBack"}, {"name": "b", "phase": "Running"}]
    for services, back in ((rows, True), (rows[1:], False), ([*rows, {"name": "c", "phase": "Failed"}], False)):
        status = {"observedGeneration": 2, "services": services, "conditions": [failed]}
        verdict = judge(obj("Stack", status, spec={"services": {}}), [])
        assert (verdict.state, verdict.rolled_back) == ("failed", back)


def test_a_stack_waits_for_its_ports() -> None:
    """Ready, and yet its Service was refused a port: failed with the holder; not known yet: waiting."""
    annotations = {"orchestr.dev/publish": '[{"hostPort": 80, "port": 80}]'}
    service = obj("Service", metadata={"annotations": annotations}, spec={})
    done = stack("Running", "Complete", ready=True)
    assert judge(done, []).state == "done"
    assert judge(done, [], [service]).state == "waiting"
    taken = {**service, "status": TAKEN}
    assert judge(done, [], [taken])[:2] == ("failed", "held by nginx")
    assert judge(stack("Running", "Pending"), [], [service]).text.startswith("1/2 services")


words = st.one_of(st.none(), st.text(max_size=5))
states = st.one_of(
    st.fixed_dictionaries({"waiting": st.fixed_dictionaries({}, optional={"reason": words, "message": words})}),
    st.fixed_dictionaries({"terminated": st.fixed_dictionaries({"exitCode": st.integers(0, 255)})}),
    st.just({"running": {}}),
    st.just({}),
)  # fmt: skip


@given(
    states, st.integers(0, 5), st.booleans(), st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"])
)
def test_any_pod_has_a_verdict_and_a_reason_in_words(state: Object, restarts: int, ready: bool, phase: str) -> None:
    """Whatever the agent writes, nothing raises, and a pod that is ready is never a failure."""
    made = pod(state, phase=phase, ready=ready, restartCount=restarts)
    found = judge(made, [])
    assert isinstance(pod_why(made), str)
    assert not (ready and found.state == "failed" and phase != "Failed")
    judge(deployment(), [made])
    judge(obj("Job"), [made])
