"""GET pods/NAME/log: lines of a container's log, as text, followed while the client stays."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial

import trio
from starlette.datastructures import QueryParams

from orchestr.api.errors import BadRequest
from orchestr.server.answer import Emit, Stream
from orchestr.server.node import LogOptions, Node
from orchestr.server.query import flag, number, time

PIECE = 64 * 1024  # bytes; lines that are there at once travel together


def options(query: QueryParams, now: datetime) -> LogOptions:
    """Of Kubernetes' query parameters. BadRequest names what makes no sense."""
    seconds, since = number(query, "sinceSeconds"), time(query, "sinceTime")
    if seconds is not None and since is not None:
        raise BadRequest("cannot read the query: sinceSeconds and sinceTime exclude each other (give one)")
    stream = query.get("stream") or "All"
    if stream not in ("All", "Stdout", "Stderr"):
        raise BadRequest(f"cannot read the query: stream={stream[:64]!r} (use All, Stdout or Stderr)")
    return LogOptions(
        container=query.get("container") or None,
        follow=flag(query, "follow"),
        tail_lines=number(query, "tailLines"),
        since=now - timedelta(seconds=seconds) if seconds is not None else since,
        previous=flag(query, "previous"),
        timestamps=flag(query, "timestamps"),
        limit_bytes=number(query, "limitBytes"),
        stream=None if stream == "All" else stream,
    )


async def logs(node: Node, namespace: str, pod: str, query: QueryParams) -> Stream:
    """Raises what the node does when there is no such log; after that the stream only ends."""
    wanted = options(query, datetime.now(UTC))
    lines = await node.logs(namespace, pod, wanted)

    return Stream(partial(send, lines, wanted.limit_bytes), "text/plain; charset=utf-8", patient=wanted.follow)


async def send(lines: AsyncGenerator[bytes], limit: int | None, emit: Emit) -> None:
    """Lines that are there at once travel together: a loud container costs a message per PIECE, not one per line."""
    buffer = Buffer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(buffer.fill, lines)
        left = limit
        while piece := await buffer.take():
            if left is not None:
                piece = piece[:left]
                left -= len(piece)
            if piece:
                await emit(piece)
            if left == 0:
                break
        nursery.cancel_scope.cancel()


class Buffer:
    """What was read and not sent yet: at most about PIECE bytes."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._changed = trio.Event()
        self._ended = False

    async def fill(self, lines: AsyncGenerator[bytes]) -> None:
        async with aclosing(lines):
            async for line in lines:
                self._data += line
                self._tell()
                while len(self._data) >= PIECE:
                    await self._changed.wait()
        self._ended = True
        self._tell()

    async def take(self) -> bytes:
        """All that is there; waits for something. b"" at the end."""
        while not self._data and not self._ended:
            await self._changed.wait()
        data = bytes(self._data)
        self._data.clear()
        self._tell()
        return data

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
