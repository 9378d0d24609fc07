"""Pushing: what the registry has is left alone, layers go side by side, the manifest last: by it all becomes visible.

Source: distribution-spec 1.1, "POST then PUT" of a blob.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, Final
from urllib.parse import urlencode, urljoin

from orchestr.images.blobs import Blobs
from orchestr.images.reference import Place
from orchestr.images.registry.pull import SIDE_BY_SIDE, Tell
from orchestr.images.registry.session import Absent, RegistryError, Session, Unreachable, first_of

_PIECE: Final = 1 << 20
_TRIES: Final = 3


def push(sessions: Sequence[Session], place: Place, blobs: Blobs, digest: str, tell: Tell) -> dict[str, Any]:
    """The image `digest` to the first of `sessions` that answers. {"digest"}. RegistryError, ImageCorrupt."""
    return first_of(sessions, lambda session: _to(session, place, blobs, digest, tell))


def _to(session: Session, place: Place, blobs: Blobs, digest: str, tell: Tell) -> dict[str, Any]:
    document = blobs.json(digest)
    parts = [document["config"], *document["layers"]]
    sizes = {str(part["digest"]): int(part["size"]) for part in parts}
    tell({"config": document["config"]["digest"], "layers": [[name, size] for name, size in sizes.items()]})

    def send(name: str) -> None:
        if not _has(session, name):
            _send(session, blobs, name, sizes[name], tell)
        tell({"layer": name, "here": True})

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for done in [pool.submit(send, name) for name in sizes]:
            done.result()
    with open(blobs.path(digest), "rb") as file:
        raw = file.read()
    kind = document.get("mediaType") or "application/vnd.oci.image.manifest.v1+json"
    with session.answer("PUT", f"/manifests/{place.tag or digest}", {"Content-Type": kind}, content=raw) as response:
        claimed = response.headers.get("docker-content-digest", digest)
    if claimed != digest:
        raise RegistryError(f"cannot push {place.repository}: {session.host} made {claimed} of {digest}")
    return {"digest": digest}


def _has(session: Session, digest: str) -> bool:
    try:
        session.small("HEAD", f"/blobs/{digest}")
    except Absent:
        return False
    return True


def _send(session: Session, blobs: Blobs, digest: str, size: int, tell: Tell) -> None:
    """One upload by POST and PUT; begun anew when it breaks off."""
    for attempt in range(_TRIES):
        with session.answer("POST", "/blobs/uploads/", {"Content-Length": "0"}) as response:
            where = urljoin(f"{session.endpoint.url}/", response.headers.get("location", ""))
        target = f"{where}{'&' if '?' in where else '?'}{urlencode({'digest': digest})}"
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        with open(blobs.path(digest), "rb") as file:
            if os.fstat(file.fileno()).st_size != size:
                raise RegistryError(f"cannot push layer {digest}: it is not as long as its manifest says")
            try:
                with session.answer("PUT", target, headers, content=_pieces(file, digest, tell), again=False):
                    return
            except Unreachable:
                if attempt == _TRIES - 1:
                    raise


def _pieces(file: IO[bytes], digest: str, tell: Tell) -> Iterator[bytes]:
    done = 0
    while piece := file.read(_PIECE):
        yield piece
        done += len(piece)
        tell({"layer": digest, "done": done})
