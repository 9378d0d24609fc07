"""Turns: no user takes the place of all others."""

from contextlib import ExitStack

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from orchestr.server.attributes import Attributes
from orchestr.server.turns import TooManyRequests, Turns
from orchestr.server.user import MASTERS, User

GET, WATCH = Attributes("get", resource="pods"), Attributes("watch", resource="pods")


async def begun(turns: Turns, name: str, log: list[str], go: trio.Event, wanted: Attributes = GET) -> None:
    with turns.turn() as turn:
        await turn.begin(User(name), wanted)
        log.append(name)
        await go.wait()


async def test_a_user_waits_for_their_own_requests_only(autojump_clock: trio.testing.MockClock) -> None:
    turns, log, go = Turns(at_once=2, together=10, line=10), [], trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(begun, turns, "loud", log, go)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(begun, turns, "quiet", log, go)
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(log) == ["loud", "loud", "quiet"]
        go.set()
    assert sorted(log) == ["loud"] * 5 + ["quiet"]
    assert not turns._users


async def test_lines_take_turns(autojump_clock: trio.testing.MockClock) -> None:
    turns, log = Turns(at_once=1, together=1, line=10), []
    gates = [trio.Event() for _ in range(7)]
    async with trio.open_nursery() as nursery:
        for index, name in enumerate(("a", "a", "a", "a", "b", "b", "c")):
            nursery.start_soon(begun, turns, name, log, gates[index])
            await trio.testing.wait_all_tasks_blocked()
        for gate in gates:
            gate.set()
    assert log[:4] in (["a", "b", "c", "a"], ["a", "a", "b", "c"])


async def test_a_line_has_an_end(autojump_clock: trio.testing.MockClock) -> None:
    turns, log, go = Turns(at_once=1, together=5, line=2), [], trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(begun, turns, "loud", log, go)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(TooManyRequests), turns.turn() as turn:
            await turn.begin(User("loud"), GET)
        nursery.cancel_scope.cancel()
    assert not turns._users


async def test_streams_have_a_bound_of_their_own() -> None:
    turns = Turns(at_once=1, streams=2)
    with ExitStack() as stack:
        for _ in range(2):
            await stack.enter_context(turns.turn()).begin(User("a"), WATCH)
        with pytest.raises(TooManyRequests, match="too many streams"), turns.turn() as turn:
            await turn.begin(User("a"), Attributes("create", resource="pods", sub="exec"))
        await stack.enter_context(turns.turn()).begin(User("a"), GET)
        await stack.enter_context(turns.turn()).begin(User("b"), WATCH)
    assert not turns._users


async def test_the_masters_never_wait() -> None:
    turns = Turns(at_once=1, together=1, streams=1)
    with ExitStack() as stack:
        for wanted in (GET, GET, WATCH, WATCH):
            await stack.enter_context(turns.turn()).begin(User("root", groups=(MASTERS,)), wanted)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_whatever_happens_every_turn_comes_and_ends(steps: list[tuple[str, bool]]) -> None:
    """Requests of three users come, some are given up while they wait; in the end nothing is left."""

    async def main() -> None:
        turns, running = Turns(at_once=2, together=3, line=100), []
        most = 0

        async def one(name: str, scope: trio.CancelScope) -> None:
            nonlocal most
            with scope, turns.turn() as turn:
                await turn.begin(User(name), GET)
                running.append(name)
                most = max(most, len(running))
                assert running.count(name) <= 2
                try:
                    await trio.lowlevel.checkpoint()
                    await trio.lowlevel.checkpoint()
                finally:
                    running.remove(name)

        async with trio.open_nursery() as nursery:
            for name, give_up in steps:
                scope = trio.CancelScope()
                nursery.start_soon(one, name, scope)
                await trio.lowlevel.checkpoint()
                if give_up:
                    scope.cancel()
        assert most <= 3
        assert not turns._users
        assert not turns._running

    trio.run(main)
