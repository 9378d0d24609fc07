"""Pushing: what the registry has is left alone, layers go side by side, the manifest last: it makes all visible."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from orchestr.images.blobs import Blobs
from orchestr.images.reference import Place
from orchestr.images.registry.pull import SIDE_BY_SIDE, Tell
from orchestr.images.registry.session import Absent, RegistryError, Session, first_of
from orchestr.images.registry.upload import send as upload


def push(
    sessions: Sequence[Session], place: Place, blobs: Blobs, digest: str, tell: Tell, sources: Mapping[str, str]
) -> dict[str, Any]:
    """The image `digest` to the first of `sessions` that answers. {"digest"}. RegistryError, ImageCorrupt.

    `sources`: digest of a layer -> another repository of the registry that has it.
    """
    return first_of(sessions, lambda session: _to(session, place, blobs, digest, tell, sources))


def _to(
    session: Session, place: Place, blobs: Blobs, digest: str, tell: Tell, sources: Mapping[str, str]
) -> dict[str, Any]:
    document = blobs.json(digest)
    parts = [document["config"], *document["layers"]]
    sizes = {str(part["digest"]): int(part["size"]) for part in parts}
    tell({"config": document["config"]["digest"], "layers": [[name, size] for name, size in sizes.items()]})

    def send(name: str) -> None:
        if not _has(session, name):
            upload(session, blobs, name, sizes[name], tell, sources.get(name, ""))
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
