from collections.abc import AsyncIterator

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from orchestr.engine.queue import BackoffQueue, DelayingQueue, Queue, backoff


async def test_a_key_added_twice_comes_out_once() -> None:
    queue: Queue[str] = Queue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_while_worked_on_comes_out_again_only_after_done() -> None:
    queue: Queue[str] = Queue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert not queue.busy


@given(st.lists(st.tuples(st.sampled_from(["add", "get", "done"]), st.integers(0, 3))))
def test_no_key_is_lost_or_worked_on_twice_at_once(steps: list[tuple[str, int]]) -> None:
    async def main() -> None:
        queue: Queue[int] = Queue()
        working: set[int] = set()
        owed: set[int] = set()
        for verb, key in steps:
            if verb == "add":
                queue.add(key)
                owed.add(key)
            elif verb == "get" and len(queue):
                got = await queue.get()
                assert got not in working
                working.add(got)
                owed.discard(got)
            elif verb == "done" and key in working:
                working.discard(key)
                queue.done(key)
        for key in sorted(working):
            queue.done(key)
        assert {await queue.get() for _ in range(len(queue))} == owed

    trio.run(main)


async def test_a_waiting_worker_is_woken_and_a_cancelled_one_takes_nothing_along() -> None:
    queue: Queue[str] = Queue()
    got: list[str] = []

    async def worker() -> None:
        got.append(await queue.get())

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0):
            await queue.get()
        nursery.start_soon(worker)
        await wait_all_tasks_blocked()
        queue.add("a")
    assert got == ["a"]


@pytest.fixture
async def delaying() -> AsyncIterator[DelayingQueue[str]]:
    queue: DelayingQueue[str] = DelayingQueue()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.run)
        yield queue
        nursery.cancel_scope.cancel()


async def test_delayed_keys_come_out_in_the_order_of_their_times(
    autojump_clock: MockClock, delaying: DelayingQueue[str]
) -> None:
    start = trio.current_time()
    delaying.add_after("late", 20)
    delaying.add_after("early", 5)
    assert await delaying.get() == "early"
    assert trio.current_time() - start == pytest.approx(5)
    assert await delaying.get() == "late"
    assert trio.current_time() - start == pytest.approx(20)


async def test_the_nearer_time_wins(autojump_clock: MockClock, delaying: DelayingQueue[str]) -> None:
    start = trio.current_time()
    delaying.add_after("a", 20)
    delaying.add_after("a", 3)
    delaying.add_after("a", 9)
    assert await delaying.get() == "a"
    assert trio.current_time() - start == pytest.approx(3)
    assert delaying.delayed == 0


async def test_failures_double_the_delay_and_success_forgets_them() -> None:
    queue: BackoffQueue[str] = BackoffQueue(chance=lambda: 0)
    assert [queue.add_failed("a") for _ in range(4)] == [0.005, 0.01, 0.02, 0.04]
    queue.forget("a")
    assert queue.add_failed("a") == 0.005


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_back_off_stays_within_a_quarter_below_its_curve(failures: int, chance: float) -> None:
    assert 0.005 * 0.75 <= backoff(failures, chance) <= 60
    assert backoff(failures + 1, chance) >= backoff(failures, chance)
