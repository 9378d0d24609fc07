"""A session: what a client and a command, or a running container, say to each other, whatever carries it.

    channel   0 stdin   1 stdout   2 stderr   3 the end, a `Status`   4 resize, {"Width", "Height"}
`Session` is the container's side, `Carrier` the client's: a WebSocket (channels.py) or SPDY (spdycarrier.py). Bytes go
each way at the pace of the slower side; nothing is kept in between but the piece under way.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

import trio

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255

Emit = Callable[[int, bytes], Awaitable[None]]  # channel, data


class Piece(NamedTuple):
    channel: int
    data: bytes = b""
    end: bool = False  # nothing more comes on this channel


class Carrier(Protocol):
    async def receive(self) -> Piece | None:
        """None when the client has gone."""
        ...

    async def send(self, channel: int, data: bytes) -> None: ...

    async def finish(self, status: Mapping[str, Any]) -> None:
        """The end as it should be; nothing is sent after it."""
        ...

    async def abort(self) -> None:
        """The daemon ends, and what was looked at goes on."""
        ...


class Session(Protocol):
    async def outputs(self, emit: Emit) -> int | None:
        """Everything that is written, to its end; the exit code, if that is what the client waits for."""
        ...

    async def write(self, data: bytes) -> None:
        """To stdin. What nobody reads any more is dropped."""
        ...

    async def end_input(self) -> None: ...

    async def resize(self, rows: int, columns: int) -> None: ...

    async def hang_up(self) -> None:
        """The client has gone: `outputs` returns soon."""
        ...

    async def stop(self) -> bool:
        """The daemon ends: `outputs` returns soon. Whether what was looked at goes on."""
        ...

    def close(self) -> None:
        """Closes what the session has open."""
        ...


async def converse(carrier: Carrier, session: Session, stopping: trio.Event) -> None:
    """Until the session ends, the client goes or the daemon stops."""
    state = _Conversation(carrier, session)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(state.inputs)
            nursery.start_soon(state.stopped, stopping)
            code = await session.outputs(carrier.send)
            nursery.cancel_scope.cancel()
        if state.goes_on:
            await carrier.abort()
        elif not state.left:
            await carrier.finish(status(code or 0))
    except BaseException:
        with trio.CancelScope(shield=True):
            await session.hang_up()
        raise
    finally:
        session.close()


class _Conversation:
    def __init__(self, carrier: Carrier, session: Session) -> None:
        self.carrier, self.session = carrier, session
        self.goes_on = self.left = False

    async def inputs(self) -> None:
        while (piece := await self.carrier.receive()) is not None:
            if piece.channel == STDIN:
                if piece.data:
                    await self.session.write(piece.data)
                if piece.end:
                    await self.session.end_input()
            elif piece.channel == RESIZE:
                await self._resize(piece.data)
        self.left = True
        await self.session.hang_up()

    async def _resize(self, data: bytes) -> None:
        """Of sizes that came together the last one counts; one that makes no sense changes nothing."""
        with suppress(ValueError, KeyError, TypeError, IndexError):
            size = json.loads(data.strip().splitlines()[-1])
            rows, columns = int(size["Height"]), int(size["Width"])
            if 0 < rows < 1 << 16 and 0 < columns < 1 << 16:
                await self.session.resize(rows, columns)

    async def stopped(self, stopping: trio.Event) -> None:
        await stopping.wait()
        self.goes_on = await self.session.stop()


def status(code: int) -> dict[str, Any]:
    """The `Status` of channel 3, as client-go reads it."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
