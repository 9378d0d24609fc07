from datetime import timedelta
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from controllers import deployment as controller
from controllers import replicaset
from controllers.deployment import difference, replica_set, template_hash
from controllers.rollout import bounds
from orchestr.api.apps import (
    REVISION,
    Deployment,
    DeploymentStrategy,
    ReplicaSet,
    ReplicaSetStatus,
    RollingUpdateDeployment,
)
from orchestr.api.base import Key, ObjectMeta
from orchestr.api.errors import Forbidden
from orchestr.api.pod import Pod
from orchestr.engine.conditions import condition
from tests.controllers.world import World, deployment, template, world
from tests.engine.fake import START, eventually

KEY = Key("ns", "web")
limits = st.integers(0, 4) | st.integers(0, 100).map(lambda share: f"{share}%")


def strategy(surge: Any, unavailable: Any) -> DeploymentStrategy:
    return DeploymentStrategy(rolling_update=RollingUpdateDeployment(max_surge=surge, max_unavailable=unavailable))


def sets(w: World) -> list[ReplicaSet]:
    return sorted(w.cluster.of(ReplicaSet), key=lambda rs: int(rs.metadata.annotations[REVISION]))


def the(w: World) -> Deployment:
    return w.cluster.objects[Deployment][KEY]  # type: ignore[return-value]


def reason(w: World, type: str) -> str | None:
    found = condition(the(w).status.conditions, type)
    return found.reason if found else None


async def set_image(w: World, image: str) -> None:
    new = template("web", image).wire()
    await w.cluster.patch(Deployment, KEY, {"spec": {"template": new}})


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", (3, 2)),  # up, down
        (1, "25%", "25%", (1, 0)),
        (3, 0, 0, (0, 1)),
        (3, "0%", "10%", (0, 1)),
        (2, 1, 5, (1, 2)),
        (0, "25%", "25%", (0, 0)),
    ],
)
def test_bounds_are_rounded_as_kubernetes_does(replicas: int, surge: Any, unavailable: Any, expected: Any) -> None:
    assert tuple(bounds(deployment("web", replicas, strategy=strategy(surge, unavailable)))) == expected


@st.composite
def rollouts(draw: st.DrawFn) -> tuple[Deployment, list[ReplicaSet]]:
    """A Deployment in the middle of anything: some old ReplicaSets, maybe the new one, all at any scale."""
    top = deployment("web", draw(st.integers(0, 8)), strategy=strategy(draw(limits), draw(limits)))
    found = []
    for number, image in enumerate(draw(st.lists(st.sampled_from("abcv"), max_size=3, unique=True))):
        wanted = draw(st.integers(0, 8))
        rs = replica_set(deployment("web", 1, "v1" if image == "v" else image), wanted, number + 1)
        meta = rs.metadata.but(creation_timestamp=START + timedelta(seconds=number), uid=image)
        status = ReplicaSetStatus(replicas=wanted, available_replicas=draw(st.integers(0, wanted)))
        found.append(rs.but(metadata=meta, status=status))
    return top, found


@given(rollouts())
def test_no_step_breaks_the_bounds(state: tuple[Deployment, list[ReplicaSet]]) -> None:
    top, before = state
    surge, unavailable = bounds(top)
    todo = difference(top, before, old_pods=True)
    scales = {change.rs.key: change.replicas for change in todo.change}
    after = {rs.key: scales.get(rs.key, rs.spec.replicas) for rs in before}
    if todo.create:
        after[todo.create.key] = todo.create.spec.replicas
    total, most = sum(after.values()), top.spec.replicas + surge
    assert total <= max(most, sum(rs.spec.replicas for rs in before))
    # A ReplicaSet ends its unavailable pods first: what stays available is the smaller of both numbers.
    stays = sum(min(after[rs.key], rs.status.available_replicas or 0) for rs in before)
    was = sum(rs.status.available_replicas or 0 for rs in before)
    new = controller.newest(top, before)
    surplus = max(new.spec.replicas - top.spec.replicas, 0) if new else 0  # a smaller scale is what the user asked for
    assert stays >= min(was - surplus, top.spec.replicas - unavailable)
    assert all(n >= 0 for n in after.values())


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), limits, limits)
def test_a_rollout_keeps_its_bounds_at_every_write_and_ends(replicas: int, surge: Any, unavailable: Any) -> None:
    async def main() -> None:
        async with world(controller, replicaset) as w:
            await w.cluster.create(deployment("web", replicas, strategy=strategy(surge, unavailable)))
            await w.settle()
            most, least = replicas + bounds(the(w)).surge, replicas - bounds(the(w)).unavailable
            broken: list[str] = []

            def check() -> None:
                live = [pod for pod in w.cluster.of(Pod) if not pod.metadata.deleting]
                if len(live) > most or sum(pod.ready for pod in live) < least:
                    broken.append(f"{len(live)} pods, {sum(pod.ready for pod in live)} ready")

            w.cluster.after_write = check
            await set_image(w, "v2")
            await w.settle()
            assert not broken
            assert {pod.spec.containers[0].image for pod in w.cluster.of(Pod)} == {"v2"}
            assert len(w.cluster.of(Pod)) == replicas
            assert reason(w, "Progressing") == "NewReplicaSetAvailable"

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_status_says_when_it_is_done_and_a_second_look_writes_nothing(autojump_clock: MockClock) -> None:
    async with world(controller, replicaset) as w:
        await w.cluster.create(deployment("web", 3))
        await w.settle()
        status = the(w).status
        assert (status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas) == (3,) * 4
        assert (status.unavailable_replicas, status.observed_generation) == (0, 1)
        assert (reason(w, "Available"), reason(w, "Progressing")) == (
            "MinimumReplicasAvailable",
            "NewReplicaSetAvailable",
        )
        assert the(w).metadata.annotations[REVISION] == "1"
        before = len(w.cluster.writes)
        cluster = w.cluster
    async with world(controller, replicaset, cluster=cluster) as w:  # a new daemon
        await w.settle()
        assert w.cluster.writes[before:] == []


async def test_scale_alone_does_not_roll(autojump_clock: MockClock) -> None:
    async with world(controller, replicaset) as w:
        await w.cluster.create(deployment("web", 2))
        await w.settle()
        names = {pod.metadata.name for pod in w.cluster.of(Pod)}
        await w.cluster.patch(Deployment, KEY, {"spec": {"replicas": 5}})
        await w.settle()
        assert len(sets(w)) == 1
        assert names < {pod.metadata.name for pod in w.cluster.of(Pod)}
        await w.cluster.patch(Deployment, KEY, {"spec": {"replicas": 0}})
        await w.settle()
        assert w.cluster.of(Pod) == []


async def test_a_change_back_finds_the_old_replica_set_and_history_is_cut(autojump_clock: MockClock) -> None:
    async with world(controller, replicaset) as w:
        await w.cluster.create(deployment("web", 1, revision_history_limit=2))
        await w.settle()
        for image in ("v2", "v3"):
            await set_image(w, image)
            await w.settle()
        second = sets(w)[1].metadata.name
        await set_image(w, "v2")
        await w.settle()
        assert [rs.spec.replicas for rs in sets(w)] == [0, 0, 1]
        assert sets(w)[-1].metadata.name == second
        assert the(w).metadata.annotations[REVISION] == "4"
        await set_image(w, "v4")
        await w.settle()
        assert [rs.metadata.annotations[REVISION] for rs in sets(w)] == ["3", "4", "5"]


async def test_the_restart_annotation_rolls(autojump_clock: MockClock) -> None:
    async with world(controller, replicaset) as w:
        await w.cluster.create(deployment("web", 2))
        await w.settle()
        before = {pod.metadata.uid for pod in w.cluster.of(Pod)}
        mark = {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}
        await w.cluster.patch(Deployment, KEY, {"spec": {"template": {"metadata": mark}}})
        await w.settle()
        after = {pod.metadata.uid for pod in w.cluster.of(Pod)}
        assert (len(after), before & after) == (2, set())


async def test_recreate_never_mixes_old_and_new(autojump_clock: MockClock) -> None:
    async with world(controller, replicaset) as w:
        await w.cluster.create(deployment("web", 3, strategy=DeploymentStrategy(type="Recreate")))
        await w.settle()
        mixed: list[int] = []

        def check() -> None:
            images = {pod.spec.containers[0].image for pod in w.cluster.of(Pod)}
            if len(images) > 1:
                mixed.append(len(images))

        w.cluster.after_write = check
        await set_image(w, "v2")
        await w.settle()
        assert not mixed
        assert [pod.spec.containers[0].image for pod in w.cluster.of(Pod)] == ["v2"] * 3


async def test_a_stuck_rollout_says_so_and_keeps_the_old_pods(autojump_clock: MockClock) -> None:
    async with world(controller, replicaset) as w:
        await w.cluster.create(deployment("web", 2, progress_deadline_seconds=60))
        await w.settle()
        w.kubelet.healthy = lambda pod: pod.spec.containers[0].image == "v1"
        start = trio.current_time()
        await set_image(w, "v2")
        await eventually(lambda: reason(w, "Progressing") == "ProgressDeadlineExceeded")
        assert 58 <= trio.current_time() - start <= 64
        assert sum(pod.ready for pod in w.cluster.of(Pod)) == 2
        assert reason(w, "Available") == "MinimumReplicasAvailable"
        await set_image(w, "v1")
        await w.settle()
        assert reason(w, "Progressing") == "NewReplicaSetAvailable"
        assert len(w.cluster.of(Pod)) == 2


async def test_paused_scales_and_does_not_roll(autojump_clock: MockClock) -> None:
    async with world(controller, replicaset) as w:
        await w.cluster.create(deployment("web", 2))
        await w.settle()
        await w.cluster.patch(Deployment, KEY, {"spec": {"paused": True, "replicas": 4}})
        await set_image(w, "v2")
        await w.settle()
        assert [rs.spec.replicas for rs in sets(w)] == [4]
        assert reason(w, "Progressing") == "DeploymentPaused"
        await w.cluster.patch(Deployment, KEY, {"spec": {"paused": None}})
        await w.settle()
        assert [rs.spec.replicas for rs in sets(w)] == [0, 4]
        assert reason(w, "Progressing") == "NewReplicaSetAvailable"


async def test_a_name_that_another_holds_is_stepped_around(autojump_clock: MockClock) -> None:
    async with world(controller, replicaset) as w:
        top = deployment("web")
        squatter = replica_set(top, 0, 1)
        meta = squatter.metadata.but(labels={}, owner_references=())
        await w.cluster.create(squatter.but(metadata=meta))
        await w.cluster.create(top)
        await w.settle()
        assert the(w).status.collision_count == 1
        assert len(w.cluster.of(Pod)) == 1


async def test_a_refused_pod_shows_in_the_deployment(autojump_clock: MockClock) -> None:
    async with world(controller, replicaset) as w:

        def quota(obj: object) -> None:
            if isinstance(obj, Pod):
                raise Forbidden("exceeded quota")

        w.cluster.before_create = quota
        await w.cluster.create(deployment("web"))
        await eventually(lambda: reason(w, "ReplicaFailure") == "FailedCreate", within=5)


def test_the_hash_derives_from_the_template_alone() -> None:
    top = deployment("web")
    other = top.but(metadata=ObjectMeta(name="else"), spec=top.spec.but(replicas=7))
    assert template_hash(top) == template_hash(other)
    assert template_hash(top) != template_hash(deployment("web", image="v2"))
