"""Pulling: manifest and configuration first, then the layers side by side, each verified before it gets its name.

A layer that breaks off goes on where it was (RFC 9110 Range), in this pull or in the next one: what has come so far
lies beside the blobs as .part-HEX. Every piece counts against the size that the manifest gives.
"""

import fcntl
import hashlib
import io
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import httpx

from orchestr.images import manifest
from orchestr.images.blobs import JSON_LIMIT, Blobs, decode, sync_folder
from orchestr.images.reference import Place
from orchestr.images.registry.session import Absent, Denied, OutOfRange, RegistryError, Session, Unreachable, first_of
from orchestr.images.seam import ImageCorrupt

SIDE_BY_SIDE: Final = 4
STALLS: Final = 8  # times that a layer may break off without a byte having come
ACCEPT: Final = ", ".join((*manifest.INDEXES, manifest.MANIFEST, manifest.DOCKER_MANIFEST))
_PIECE: Final = 1 << 18
_OFTEN: Final = 0.1  # seconds between two lines of progress of a layer

Tell = Callable[[dict[str, Any]], None]


class Pulled(NamedTuple):
    digest: str  # of what the reference names: an index, or the manifest
    fetched: bool  # False: it was here already


class Layer(NamedTuple):
    digest: str
    size: int


def pull(sessions: Sequence[Session], place: Place, blobs: Blobs, arch: str, known: str, tell: Tell) -> Pulled:
    """From the first of `sessions` that has it. `known`: the digest that the reference had when it was last pulled.

    Tells {"layers": [[digest, size], ...], "config": digest}, {"layer": digest, "done": bytes} as it goes, and
    {"layer": digest, "here": True} once it is stored. RegistryError, ImageCorrupt.
    """
    return first_of(sessions, lambda session: _from(session, place, blobs, arch, known, tell))


def _from(session: Session, place: Place, blobs: Blobs, arch: str, known: str, tell: Tell) -> Pulled:
    wanted = place.digest or place.tag
    if known and not place.digest and _same(session, wanted, known):
        return Pulled(known, fetched=False)
    top, raw = _manifest(session, wanted, place.digest)
    document = decode(raw, f"manifest {top}")
    kept = [raw]
    if manifest.is_index(document):
        digest = str(manifest.choose(document, arch, f"{place.repository} of {session.host}").get("digest", ""))
        blobs.path(digest)  # is it one?
        _, raw = _manifest(session, digest, digest)
        document = decode(raw, f"manifest {digest}")
        kept.append(raw)
    config, layers = _parts(document, place, session)
    tell({"config": config.digest, "layers": [list(layer) for layer in layers]})
    _fetch(session, config, blobs, tell)
    missing = [layer for layer in dict.fromkeys(layers) if not blobs.claim(layer.digest)]
    for layer in dict.fromkeys(layers):
        if layer not in missing:
            tell({"layer": layer.digest, "here": True})
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for done in [pool.submit(_fetch, session, layer, blobs, tell) for layer in missing]:
            try:
                done.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    for raw in reversed(kept):  # the one that names the others comes last
        blobs.add(io.BytesIO(raw))
    return Pulled(top, fetched=True)


def _same(session: Session, wanted: str, known: str) -> bool:
    """Without counting as a pull where those are counted: by HEAD."""
    headers, _ = session.small("HEAD", f"/manifests/{wanted}", {"Accept": ACCEPT})
    return bool(headers.get("docker-content-digest") == known)


def _manifest(session: Session, wanted: str, digest: str) -> tuple[str, bytes]:
    headers, raw = session.small("GET", f"/manifests/{wanted}", {"Accept": ACCEPT})
    found = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    claimed = digest or headers.get("docker-content-digest") or found
    if claimed.startswith("sha256:") and claimed != found:
        raise ImageCorrupt(
            f"cannot use what {session.host} sends for {session.repository} {wanted}: its digest is {found}, "
            f"not {claimed} (the registry, or a proxy before it, is broken)"
        )
    return found, raw


def _parts(document: dict[str, Any], place: Place, session: Session) -> tuple[Layer, list[Layer]]:
    what = f"{place.repository} of {session.host}"
    if document.get("schemaVersion") == 1:
        raise RegistryError(f"cannot use {what}: a manifest of schema 1 is not supported (push the image anew)")
    config, layers = document.get("config"), document.get("layers")
    if not isinstance(config, dict) or not isinstance(layers, list):
        raise ImageCorrupt(f"cannot use {what}: what came is no manifest of an image (is this a registry?)")
    if str(config.get("mediaType", "")) not in (manifest.CONFIG, manifest.DOCKER_CONFIG):
        raise RegistryError(f"cannot run {what}: it is no image but {config.get('mediaType') or 'an artifact'}")
    manifest.few(layers, what)
    if (own := _layer(config, what)).size > JSON_LIMIT:
        raise ImageCorrupt(f"cannot use {what}: its configuration has {own.size} bytes, the most is {JSON_LIMIT}")
    return own, [_layer(each, what) for each in layers]


def _layer(entry: object, what: str) -> Layer:
    size = entry.get("size") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(size, int) or size < 0:
        raise ImageCorrupt(f"cannot use {what}: a part of its manifest has no size")
    kind = str(entry.get("mediaType", ""))
    if "foreign" in kind or "encrypted" in kind:
        raise RegistryError(f"cannot use {what}: a layer of type {kind} is not supported")
    return Layer(str(entry.get("digest", "")), size)


def _fetch(session: Session, layer: Layer, blobs: Blobs, tell: Tell) -> None:
    """Puts the blob into the store. Whoever fetches the same one already is waited for."""
    path = blobs.path(layer.digest)
    partial = blobs.partial(layer.digest)
    with open(partial, "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not blobs.claim(layer.digest):
            try:
                _complete(session, layer, file, tell)
            except (ImageCorrupt, Absent, Denied):
                os.unlink(partial)
                raise
            file.flush()
            os.fsync(file.fileno())
            os.rename(partial, path)
            sync_folder(os.path.dirname(path))
        elif os.path.exists(partial):
            os.unlink(partial)
    tell({"layer": layer.digest, "here": True})


def _complete(session: Session, layer: Layer, file: Any, tell: Tell) -> None:
    hashed = hashlib.sha256()
    file.seek(0)
    while piece := file.read(_PIECE):
        hashed.update(piece)
    come, stalls, told = file.tell(), 0, 0.0
    while come < layer.size:
        before, broken = come, False
        headers = {"Range": f"bytes={come}-"} if come else {}
        try:
            with session.answer("GET", f"/blobs/{layer.digest}", headers) as response:
                if come and response.status_code != 206:  # it knows no ranges: all of it comes again
                    file.seek(0)
                    file.truncate()
                    hashed, come = hashlib.sha256(), 0
                for piece in response.iter_raw():
                    come += len(piece)
                    if come > layer.size:
                        break
                    hashed.update(piece)
                    file.write(piece)
                    if (now := time.monotonic()) - told > _OFTEN:
                        told = now
                        tell({"layer": layer.digest, "done": come})
        except httpx.TransportError as error:  # in the middle
            cause, broken = str(error) or type(error).__name__, True
        except OutOfRange:
            come = layer.size + 1  # of what came before more is here than there
        else:
            cause = f"it has {come} bytes, where its manifest says {layer.size}"
        if come > layer.size:
            raise ImageCorrupt(
                f"cannot use layer {layer.digest} of {session.host}: it is longer than its manifest says"
            )
        stalls = 0 if come > before else stalls + 1
        if stalls and not broken and come < layer.size:
            raise ImageCorrupt(f"cannot use layer {layer.digest} of {session.host}: {cause}")
        if come < layer.size and stalls >= STALLS:
            raise Unreachable(f"cannot fetch layer {layer.digest} from {session.host}: {cause} (try again: it goes on)")
    found = f"sha256:{hashed.hexdigest()}"
    if found != layer.digest:
        raise ImageCorrupt(
            f"cannot use layer {layer.digest} of {session.host}: its content is {found} (the registry is broken)"
        )
