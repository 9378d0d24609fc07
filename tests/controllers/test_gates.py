import json
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from controllers import claim, deployment, gates, job, replicaset
from controllers.gates import restarted
from orchestr.api.base import Key, ObjectMeta
from orchestr.api.claim import PersistentVolumeClaim, PersistentVolumeClaimSpec
from orchestr.api.config import ConfigMap
from orchestr.api.event import Event
from orchestr.api.pod import ContainerState, ContainerStateRunning, ContainerStatus, Pod, PodStatus
from tests.controllers import world as objects
from tests.controllers.volumes import node
from tests.controllers.world import World, world
from tests.engine.fake import START, eventually


def after(name: str, how: str = "service_healthy", **options: Any) -> dict[str, str]:
    return {"orchestr.dev/depends-on": json.dumps([{"name": name, "condition": how, **options}])}


def pods(w: World, app: str) -> list[Pod]:
    return [pod for pod in w.cluster.of(Pod) if pod.metadata.labels["app"] == app]


def why(w: World, app: str) -> str:
    found = [each for pod in pods(w, app) for each in pod.status.conditions if each.reason == "SchedulingGated"]
    return found[0].message or "" if found else ""


async def test_a_pod_waits_for_what_it_depends_on_and_says_so(autojump_clock: MockClock) -> None:
    async with world(deployment, replicaset, gates) as w:
        await w.cluster.create(objects.deployment("web", annotations=after("db")))
        await eventually(lambda: why(w, "web") == "db does not exist")
        w.kubelet.healthy = lambda pod: pod.metadata.labels["app"] != "db"
        await w.cluster.create(objects.deployment("db"))
        await eventually(lambda: "db not ready" in why(w, "web"))
        assert not pods(w, "web")[0].spec.node_name
        await w.kubelet.set(pods(w, "db")[0], "Running", ready=True)
        await eventually(lambda: pods(w, "web")[0].spec.node_name == "here")
        assert pods(w, "web")[0].spec.scheduling_gates == ()
        await w.settle()
        assert pods(w, "web")[0].ready


async def test_a_job_opens_the_gate_when_it_is_complete(autojump_clock: MockClock) -> None:
    async with world(deployment, replicaset, job, gates) as w:
        w.kubelet.outcome = lambda pod: "Succeeded" if pod.metadata.labels["app"] == "migrate" else None
        w.kubelet.delay = 20
        waits = after("migrate", "service_completed_successfully")
        await w.cluster.create(objects.deployment("api", annotations=waits))
        await w.cluster.create(objects.job("migrate", completions=1))
        await eventually(lambda: why(w, "api") == "migrate not complete")
        await eventually(lambda: pods(w, "api")[0].spec.node_name)


async def test_a_restarted_dependency_restarts_its_dependants_once(autojump_clock: MockClock) -> None:
    async with world(deployment, replicaset, gates) as w:
        await w.cluster.create(objects.deployment("db"))
        await w.cluster.create(objects.deployment("web", 2, annotations=after("db", restart=True)))
        await w.cluster.create(objects.deployment("other", annotations=after("db")))
        await w.settle()
        web, other = ({pod.metadata.uid for pod in pods(w, app)} for app in ("web", "other"))
        assert all(pod.ready for pod in w.cluster.of(Pod))
        await w.cluster.delete(pods(w, "db")[0])
        await w.settle()
        now = {pod.metadata.uid for pod in pods(w, "web")}
        assert (len(now), web & now) == (2, set())
        assert {pod.metadata.uid for pod in pods(w, "other")} == other
        reasons = [event for event in w.cluster.of(Event) if event.reason == "DependencyRestarted"]
        assert len(reasons) == 2
        assert "db started again" in reasons[0].message
        before = len(w.cluster.writes)
        await w.settle()
        assert len(w.cluster.writes) == before


async def test_more_replicas_of_a_dependency_restart_nobody(autojump_clock: MockClock) -> None:
    async with world(deployment, replicaset, gates) as w:
        await w.cluster.create(objects.deployment("db"))
        await w.cluster.create(objects.deployment("web", annotations=after("db", restart=True)))
        await w.settle()
        web = pods(w, "web")[0].metadata.uid
        await w.cluster.patch(type(objects.deployment("db")), Key("ns", "db"), {"spec": {"replicas": 3}})
        await w.settle()
        assert [pod.metadata.uid for pod in pods(w, "web")] == [web]


async def test_claims_and_config_maps_hold_a_pod(autojump_clock: MockClock) -> None:
    async with world(gates, claim) as w:
        spec = {
            "containers": [{"name": "main", "envFrom": [{"configMapRef": {"name": "settings"}}]}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        }
        meta = ObjectMeta(name="x", namespace="ns", labels={"app": "x"}, annotations={"orchestr.dev/depends-on": ""})
        await w.cluster.create(Pod.model_validate({"metadata": meta.wire(), "spec": spec}))
        await eventually(lambda: "settings" in why(w, "x") and "data" in why(w, "x"))
        await w.cluster.create(ConfigMap(metadata=ObjectMeta(name="settings", namespace="ns")))
        await eventually(lambda: "settings" not in why(w, "x"))
        odd = PersistentVolumeClaimSpec(storage_class_name="ceph")
        await w.cluster.create(PersistentVolumeClaim(metadata=ObjectMeta(name="odd", namespace="ns"), spec=odd))
        local = PersistentVolumeClaimSpec(storage_class_name="local")
        await w.cluster.create(node())
        await w.cluster.create(PersistentVolumeClaim(metadata=ObjectMeta(name="data", namespace="ns"), spec=local))
        await eventually(lambda: pods(w, "x")[0].spec.node_name)
        phases = {each.metadata.name: each.status.phase for each in w.cluster.of(PersistentVolumeClaim)}
        assert phases == {"odd": "Pending", "data": "Bound"}
        await eventually(lambda: any('"ceph" not found' in event.message for event in w.cluster.of(Event)))


def running(*starts: float) -> Pod:
    states = [ContainerState(running=ContainerStateRunning(started_at=START + timedelta(seconds=s))) for s in starts]
    return Pod(status=PodStatus(container_statuses=tuple(ContainerStatus(name="c", state=state) for state in states)))


seconds = st.integers(0, 20)


@given(seconds, st.lists(seconds, max_size=4), seconds)
def test_who_started_last_never_restarts(own: int, dependency: list[int], now: int) -> None:
    """A pod made anew because of a restart starts after it: there is no second reason, so there is no loop."""
    pods, clock = [running(start) for start in dependency], START + timedelta(seconds=now)
    up = restarted(running(own), pods, clock)
    if up:
        assert restarted(running(max(now, own)), pods, clock) is None
        assert own < min(dependency) <= now
    else:
        assert not dependency or own >= min(dependency) or min(dependency) > now


def test_a_restart_shows_within_the_second_in_which_the_dependant_started() -> None:
    """A start of another moment of the same second is told apart, in memory and when read back from the store."""
    first, later = running(5.2), running(5.4)
    stored = [Pod.model_validate(pod.wire()) for pod in (first, later)]
    for own, dependency in ((first, later), (stored[0], later), (first, stored[1]), tuple(stored)):
        assert restarted(own, [dependency], START + timedelta(seconds=9))
        assert restarted(dependency, [own], START + timedelta(seconds=9)) is None
    assert restarted(stored[0], [first], START + timedelta(seconds=9)) is None
