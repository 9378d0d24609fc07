"""One blob to a registry: mounted from a repository that has it, else uploaded; what breaks off goes on where it did.

Source: distribution-spec 1.1, "Pushing a blob in chunks" (one chunk, unless it breaks), "Mounting a blob".
"""

import os
import re
from collections.abc import Iterator
from typing import IO, Final
from urllib.parse import urlencode, urljoin

import httpx

from orchestr.images.blobs import Blobs
from orchestr.images.registry.pull import Tell
from orchestr.images.registry.session import RegistryError, Session, Unreachable

_PIECE: Final = 1 << 20
_TRIES: Final = 3
_RANGE: Final = re.compile(r"(?:bytes=)?0-(\d+)")


def send(session: Session, blobs: Blobs, digest: str, size: int, tell: Tell, source: str = "") -> None:
    """`source`: a repository of the same registry that probably has it. RegistryError."""
    if source and _mounted(session, digest, source):
        return
    with open(blobs.path(digest), "rb") as file:
        if os.fstat(file.fileno()).st_size != size:
            raise RegistryError(f"cannot push layer {digest}: it is not as long as its manifest says")
        where = _filled(session, file, digest, size, tell)
    with session.answer("PUT", _with(where, digest), {"Content-Length": "0"}):
        return


def _mounted(session: Session, digest: str, source: str) -> bool:
    """False where the registry does not do it, or we may not: an upload that it has begun is left to expire."""
    query = urlencode({"mount": digest, "from": source})
    try:
        with session.answer("POST", f"/blobs/uploads/?{query}", {"Content-Length": "0"}) as response:
            return response.status_code == 201
    except Unreachable:
        raise
    except RegistryError:
        return False


def _location(response: httpx.Response, where: str) -> str:
    return urljoin(where, str(response.headers.get("location", "")))


def _begun(session: Session) -> str:
    with session.answer("POST", "/blobs/uploads/", {"Content-Length": "0"}) as response:
        return _location(response, f"{session.endpoint.url}/")


def _filled(session: Session, file: IO[bytes], digest: str, size: int, tell: Tell) -> str:
    """Where the upload is that has all of it now."""
    where, offset = _begun(session), 0
    for attempt in range(_TRIES):
        if attempt:
            where, offset = _reached(session, where, size)
        if offset == size:
            return where
        file.seek(offset)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size - offset),
            "Content-Range": f"{offset}-{size - 1}",
        }
        try:
            content = _pieces(file, digest, offset, tell)
            with session.answer("PATCH", where, headers, content=content, again=False) as response:
                return _location(response, where)
        except Unreachable:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _reached(session: Session, where: str, size: int) -> tuple[str, int]:
    """The upload and how much of it the registry has; a new one where it cannot say."""
    try:
        with session.answer("GET", where) as response:
            found = _RANGE.fullmatch(response.headers.get("range", ""))
            offset = int(found[1]) + 1 if found and found[1] != "0" else 0  # 0-0 is nothing, too
            if offset <= size:
                return _location(response, where), offset
    except Unreachable:
        raise
    except RegistryError:
        pass
    return _begun(session), 0


def _with(where: str, digest: str) -> str:
    return f"{where}{'&' if '?' in where else '?'}{urlencode({'digest': digest})}"


def _pieces(file: IO[bytes], digest: str, done: int, tell: Tell) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece
        done += len(piece)
        tell({"layer": digest, "done": done})
