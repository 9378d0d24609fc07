"""POST /orchestr.dev/v1/images/build: a line of JSON that says what is wanted, then the context as a tar archive.

{"dockerfile": TEXT, "file": "Dockerfile", "tags": [...], "args": {...}, "labels": {...}, "target": "", "platform": "",
 "noCache": false, "pull": false, "network": "default", "secrets": {ID: BASE64}, "shm": BYTES}
The answer: lines of JSON as it goes on ({"step"}, {"output"}, {"warning"}), the last with "image" or a Status. Secrets
come before the archive, for they stay in memory; the archive goes to a file.
"""

import base64
import binascii
import json
import os
from contextlib import AsyncExitStack, aclosing
from typing import Any

import trio
from starlette.requests import Request
from starlette.responses import Response

from orchestr.api.errors import BadRequest
from orchestr.images.build.state import Request as Wanted
from orchestr.images.seam import Progress
from orchestr.server.images import lines
from orchestr.server.node import Node

MOST = 32 << 20  # bytes of the first line
TEXTS = ("file", "target", "platform", "network")
SECRET = 500 << 10  # bytes of one secret


async def build(node: Node, request: Request) -> Response:
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(node.builder.place())
        archive = os.path.join(place, "context.tar")
        wanted = _wanted(await _received(request, archive))
        later = stack.pop_all()

    async def carry_out(progress: Progress) -> str:
        async with later:
            return (await node.build(wanted, place, archive, progress)).digest

    return lines(wanted.tags[0] if wanted.tags else "", carry_out)


async def _received(request: Request, archive: str) -> dict[str, Any]:
    """The first line; what follows it is in the file."""
    head, rest = b"", None
    async with await trio.open_file(archive, "xb") as file, aclosing(request.stream()) as pieces:
        async for piece in pieces:
            if rest is None:
                head, newline, after = (head + piece).partition(b"\n")
                if newline:
                    rest, piece = True, after
                elif len(head) > MOST:
                    break
                else:
                    continue
            await file.write(piece)
    try:
        found = json.loads(head)
    except ValueError as error:
        raise BadRequest(f"cannot read the build: its first line is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadRequest("cannot read the build: its first line is not a JSON object")
    return found


def _wanted(found: dict[str, Any]) -> Wanted:
    known = {"dockerfile", "tags", "args", "labels", "noCache", "pull", "secrets", "shm", *TEXTS}
    if strange := set(found) - known:
        raise BadRequest(f"cannot read the build: unknown field {sorted(strange)[0]}")
    texts = {name: found[name] for name in TEXTS if name in found}
    tables = {name: found.get(name) or {} for name in ("args", "labels", "secrets")}
    tags = found.get("tags") or []
    good = (
        all(isinstance(value, str) for value in (found.get("dockerfile"), *texts.values()))
        and isinstance(tags, list)
        and all(isinstance(tag, str) for tag in tags)
        and all(isinstance(t, dict) and all(isinstance(v, str) for v in t.values()) for t in tables.values())
        and isinstance(shm := found.get("shm", 64 << 20), int)
    )
    if not good:
        raise BadRequest("cannot read the build: a field has the wrong type")
    return Wanted(
        dockerfile=found["dockerfile"],
        tags=tuple(tags),
        args=tables["args"],
        labels=tables["labels"],
        secrets={name: _secret(name, value) for name, value in tables["secrets"].items()},
        no_cache=bool(found.get("noCache")),
        pull=bool(found.get("pull")),
        shm=shm,
        **texts,
    )


def _secret(name: str, value: str) -> bytes:
    try:
        content = base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise BadRequest(f"cannot read the build: secret {name} is not base64") from error
    if len(content) > SECRET:
        raise BadRequest(f"cannot read the build: secret {name} is larger than {SECRET >> 10} KiB")
    return content
