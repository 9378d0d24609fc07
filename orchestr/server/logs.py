"""GET pods/NAME/log: lines of a container's log, as text, followed while the client stays."""

from contextlib import aclosing
from datetime import UTC, datetime, timedelta

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

    async def run(emit: Emit) -> None:
        left = wanted.limit_bytes
        async with aclosing(lines):
            async for piece in lines:
                if left is not None:
                    piece = piece[:left]
                    left -= len(piece)
                if piece:
                    await emit(piece)
                if left == 0:
                    return

    return Stream(run, "text/plain; charset=utf-8")
