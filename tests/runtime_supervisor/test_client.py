"""The daemon's side of the connection."""

from typing import Any

import trio
import trio.testing

from orchestr.runtime.client import SupervisedRuntime


async def test_a_connection_that_is_lost_while_somebody_takes_it_is_waited_for_anew() -> None:
    runtime: Any = SupervisedRuntime("/nowhere")
    again = trio.Event()

    class Connected:
        """The connection goes between the event and whoever waited for it."""

        async def wait(self) -> None:
            await trio.lowlevel.checkpoint()
            runtime._connected, runtime._link = again, None

    runtime._connected, runtime._link = Connected(), "first"
    found: list[str] = []

    async def ask() -> None:
        found.append(await runtime._current())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        assert found == []
        runtime._link = "second"
        again.set()
    assert found == ["second"]
