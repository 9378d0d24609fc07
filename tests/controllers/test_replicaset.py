from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from controllers import replicaset
from controllers.replicaset import KEPT, Difference, difference
from orchestr.api.apps import ReplicaSet
from orchestr.api.base import Key, ObjectMeta
from orchestr.api.errors import Forbidden
from orchestr.api.pod import Pod
from tests.controllers.strategies import pod_lists
from tests.controllers.world import replica_set, template, world
from tests.engine.fake import eventually

replica_sets = st.builds(replica_set, st.just("web"), st.integers(0, 8))


@given(replica_sets, pod_lists())
def test_one_step_closes_the_gap_and_the_next_finds_nothing_to_do(rs: ReplicaSet, pods: list[Pod]) -> None:
    todo = difference(rs, pods)
    after = [pod for pod in pods if pod not in todo.delete] + list(todo.create)
    assert sum(pod.active for pod in after) == rs.spec.replicas
    assert difference(rs, after) == Difference(create=(), delete=())
    assert len({pod.metadata.name for pod in after}) == len(after)
    assert sum(pod.finished and not pod.metadata.deleting for pod in after) <= KEPT


@given(replica_sets, pod_lists())
def test_it_never_ends_a_ready_pod_while_an_unready_one_is_left(rs: ReplicaSet, pods: list[Pod]) -> None:
    todo = difference(rs, pods)
    kept = [pod for pod in pods if pod.active and pod not in todo.delete]
    bound = [pod for pod in kept if pod.spec.node_name and pod.status.phase == "Running"]
    if any(pod.ready and pod.spec.node_name for pod in todo.delete):
        assert all(pod.ready for pod in bound)
        assert len(bound) == len(kept)


@given(replica_sets, pod_lists(), pod_lists())
def test_acting_on_a_stale_read_collides_instead_of_adding(rs: ReplicaSet, pods: list[Pod], more: list[Pod]) -> None:
    first, again = difference(rs, pods), difference(rs, pods)
    assert [pod.metadata.name for pod in first.create] == [pod.metadata.name for pod in again.create]


async def test_pods_are_made_kept_and_replaced(autojump_clock: MockClock) -> None:
    async with world(replicaset) as w:
        await w.cluster.create(replica_set("web", 3))
        await w.settle()
        rs = w.cluster.of(ReplicaSet)[0]
        assert (rs.status.replicas, rs.status.ready_replicas, rs.status.available_replicas) == (3, 3, 3)
        await w.kubelet.set(w.cluster.of(Pod)[0], "Failed", ready=False)
        await w.settle()
        assert sum(pod.ready for pod in w.cluster.of(Pod)) == 3
        assert len(w.cluster.of(Pod)) == 4
        await w.cluster.patch(ReplicaSet, rs.key, {"spec": {"replicas": 1}})
        await w.settle()
        assert sum(pod.active for pod in w.cluster.of(Pod)) == 1
        await w.cluster.delete(w.cluster.of(ReplicaSet)[0])
        await w.settle()
        assert w.cluster.of(Pod) == []


async def test_matching_orphans_are_adopted_and_others_released(autojump_clock: MockClock) -> None:
    async with world(replicaset) as w:
        lonely = Pod(
            metadata=ObjectMeta(name="lonely", namespace="ns", labels={"app": "web"}), spec=template("web").spec
        )
        await w.cluster.create(lonely)
        await w.cluster.create(replica_set("web", 2))
        await w.settle()
        assert {pod.metadata.controller.name for pod in w.cluster.of(Pod)} == {"web"}
        assert len(w.cluster.of(Pod)) == 2
        for pod in w.cluster.of(Pod):
            if pod.metadata.name != "lonely":  # the released one keeps its name; the new one needs another
                await w.cluster.patch(Pod, pod.key, {"metadata": {"labels": {"app": "debug"}}})
        await w.settle()
        released = [pod for pod in w.cluster.of(Pod) if pod.metadata.labels["app"] == "debug"]
        assert [pod.metadata.controller for pod in released] == [None]
        assert len(w.cluster.of(Pod)) == 3
        assert w.manager.metrics["replicaset"].failures == 0


async def test_a_refusal_is_told_and_tried_again(autojump_clock: MockClock) -> None:
    async with world(replicaset) as w:

        def quota(obj: object) -> None:
            if isinstance(obj, Pod) and len(w.cluster.of(Pod)) >= 1:
                raise Forbidden("exceeded quota: pods")

        w.cluster.before_create = quota
        await w.cluster.create(replica_set("web", 3))
        key = Key("ns", "web")
        await eventually(lambda: w.cluster.objects[ReplicaSet][key].status.conditions)
        failure = w.cluster.objects[ReplicaSet][key].status.conditions[0]
        assert (failure.type, failure.reason, failure.message) == (
            "ReplicaFailure",
            "FailedCreate",
            "exceeded quota: pods",
        )
        w.cluster.before_create = lambda obj: None
        await w.settle()
        rs = w.cluster.objects[ReplicaSet][key]
        assert (rs.status.replicas, rs.status.conditions) == (3, ())


async def test_available_comes_after_min_ready_seconds(autojump_clock: MockClock) -> None:
    async with world(replicaset) as w:
        await w.cluster.create(replica_set("web", 1, min_ready_seconds=30))
        key = Key("ns", "web")
        await eventually(lambda: w.cluster.objects[ReplicaSet][key].status.ready_replicas, within=10)
        assert not w.cluster.objects[ReplicaSet][key].status.available_replicas
        await eventually(lambda: w.cluster.objects[ReplicaSet][key].status.available_replicas, within=40)
