"""gzip for large answers, to clients that take it: for lists it saves nine tenths of the bytes."""

import zlib
from collections.abc import Iterable

import trio
from starlette.requests import Request
from starlette.responses import Response

from orchestr.server.answer import Pieces, Stream

WORTH = 128 * 1024  # bytes, as Kubernetes


async def compressed(request: Request, response: Response) -> Response:
    """The response, packed in a thread if that is worth it. Streams go as they come."""
    if isinstance(response, Stream) or request.method != "GET":
        return response
    pieces = response.pieces if isinstance(response, Pieces) else [bytes(response.body)]
    if not isinstance(response, Pieces) and len(response.body) < WORTH:
        return response
    if not _takes(request.headers.get("accept-encoding", "")):
        return response
    packed = await trio.to_thread.run_sync(_packed, pieces)
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    headers |= {"content-encoding": "gzip", "vary": "accept-encoding"}
    return Response(packed, response.status_code, headers)


def _packed(pieces: Iterable[bytes]) -> bytes:
    """zlib lets other threads work meanwhile."""
    packer = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)  # 16: with gzip's head and end
    return b"".join([*map(packer.compress, pieces), packer.flush()])


def _takes(text: str) -> bool:
    for clause in text.lower().split(","):
        name, _, parameters = clause.strip().partition(";")
        if name.strip() == "gzip":
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
