import trio
from trio.testing import MockClock

from orchestr.api.base import ObjectMeta
from orchestr.api.config import ConfigMap
from orchestr.api.errors import Forbidden
from orchestr.api.event import Event
from orchestr.engine.events import PENDING, Recorder
from tests.engine.fake import FakeCluster, eventually, virtual_clock

OBJECT = ConfigMap(metadata=ObjectMeta(name="a", namespace="ns", uid="u1"))


async def test_the_same_reason_is_one_event_that_counts(autojump_clock: MockClock) -> None:
    cluster = FakeCluster()
    recorder = Recorder(cluster, clock=virtual_clock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.run)
        for number in range(3):
            recorder.record(OBJECT, "Failed", f"try {number}", warning=True, component="x")
            await trio.sleep(5)
        recorder.record(OBJECT, "Other", "else", component="x")
        await eventually(lambda: len(cluster.of(Event)) == 2)
        failed = next(event for event in cluster.of(Event) if event.reason == "Failed")
        assert (failed.count, failed.message, failed.type) == (3, "try 2", "Warning")
        assert (failed.last_timestamp - failed.first_timestamp).total_seconds() == 10
        assert failed.involved_object.name == "a"
        nursery.cancel_scope.cancel()


async def test_a_new_daemon_goes_on_counting(autojump_clock: MockClock) -> None:
    cluster = FakeCluster()
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            recorder = Recorder(cluster, clock=virtual_clock)
            nursery.start_soon(recorder.run)
            recorder.record(OBJECT, "Failed", "again")
            await trio.sleep(5)
            nursery.cancel_scope.cancel()
    assert [event.count for event in cluster.of(Event)] == [2]


async def test_it_is_bounded_and_survives_refusals(autojump_clock: MockClock) -> None:
    cluster, refusals = FakeCluster(), [Forbidden("ending")]

    def refuse(obj: object) -> None:
        if refusals:
            raise refusals.pop()

    cluster.before_create = refuse
    recorder = Recorder(cluster, clock=virtual_clock)
    for number in range(PENDING + 7):
        recorder.record(OBJECT, f"Reason{number}", "text")
    assert recorder.dropped == 7
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.run)
        await eventually(lambda: len(cluster.of(Event)) == PENDING - 1)
        nursery.cancel_scope.cancel()
