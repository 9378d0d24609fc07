"""Reads images from files: docker-archive, oci-archive (tar, also compressed) and an OCI layout directory.

Names inside an archive are never joined to a path of ours: members are looked up by exact name and copied as bytes into
the blob store, which names them by their digest (CVE-2025-62725).
"""

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any, NamedTuple

from orchestr.images import manifest
from orchestr.images.blobs import JSON_LIMIT, Blobs, decode
from orchestr.images.seam import ImageCorrupt, ImageError
from orchestr.images.unpack import Counted, Hostile, Member, compression

REF_NAME = "org.opencontainers.image.ref.name"
DEEPEST = 4  # an index in an index in ...
LIMIT_MEMBERS = 100_000
FULL_NAME = "io.containerd.image.name"


class Found(NamedTuple):
    digest: str  # of the manifest, now in the blob store
    names: tuple[str, ...]


Opener = Callable[[str], IO[bytes]]


def read(path: str, blobs: Blobs, arch: str) -> list[Found]:
    """Stores the blobs of all images in the file or directory. Raises ImageError, ImageCorrupt."""
    try:
        return _read(path, blobs, arch)
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ImageCorrupt(f"cannot load {path}: its documents have no form of an image's: {error}") from error


def _read(path: str, blobs: Blobs, arch: str) -> list[Found]:
    if os.path.isdir(path):
        return _layout(lambda name: open(_below(path, name), "rb"), blobs, arch, path)
    try:
        with _open_tar(path) as tar:
            return _archive(tar, blobs, arch, path)
    except FileNotFoundError as error:
        raise ImageError(f"cannot load {path}: no such file (give an archive or a layout directory)") from error
    except (tarfile.TarError, EOFError, Hostile) as error:
        raise ImageCorrupt(
            f"cannot load {path}: not an image archive: {error} (docker save or skopeo copy make one)"
        ) from error


def _below(root: str, name: str) -> str:
    path = os.path.join(root, name)
    if ".." in name.split("/") or os.path.islink(path):
        raise ImageCorrupt(f"cannot read {name!r} of {root}: it leads outside the layout")
    return path


@contextmanager
def _open_tar(path: str) -> Iterator[tarfile.TarFile]:
    """The archive for reading in any order. One that is compressed is unpacked to a nameless file beside it first."""
    with open(path, "rb") as file, ExitStack() as stack:
        source: IO[bytes] = file
        if compression(file.read(4)):
            source = stack.enter_context(tempfile.TemporaryFile(dir=os.path.dirname(path) or "."))
            file.seek(0)
            stream = Counted(file)
            while piece := stream.read():
                source.write(piece)
        source.seek(0)
        with tarfile.open(fileobj=source, mode="r:*", tarinfo=Member) as tar:
            yield tar


def _archive(tar: tarfile.TarFile, blobs: Blobs, arch: str, path: str) -> list[Found]:
    members = {}
    for number, member in enumerate(tar):
        if number > LIMIT_MEMBERS:
            raise ImageCorrupt(f"cannot load {path}: it has more than {LIMIT_MEMBERS} members")
        if member.isfile() or member.issym():
            members[member.name.removeprefix("./")] = member

    def opener(name: str) -> IO[bytes]:
        member = members.get(name)
        if member is not None and member.issym():  # docker save links equal layers to each other
            target = os.path.normpath(os.path.join(os.path.dirname(name), member.linkname))
            member = members.get(target)
        source = tar.extractfile(member) if member is not None and member.isfile() else None
        if source is None:
            raise ImageCorrupt(f"cannot load {path}: {name} is missing in it")
        return source

    if "index.json" in members and "oci-layout" in members:
        return _layout(opener, blobs, arch, path)
    if "manifest.json" in members:
        return _docker(opener, blobs, path)
    raise ImageCorrupt(f"cannot load {path}: neither index.json nor manifest.json is in it (it is no image archive)")


def _small(opener: Opener, name: str) -> bytes:
    try:
        with opener(name) as file:
            content = file.read(JSON_LIMIT + 1)
    except FileNotFoundError as error:
        raise ImageCorrupt(f"cannot read {name}: it is missing in the layout") from error
    if len(content) > JSON_LIMIT:
        raise ImageCorrupt(f"cannot read {name}: it is larger than {JSON_LIMIT} bytes")
    return content


def _layout(opener: Opener, blobs: Blobs, arch: str, what: str) -> list[Found]:
    """OCI image layout (image-layout.md): index.json, blobs/sha256/."""
    index = decode(_small(opener, "index.json"), f"index.json of {what}")
    found = []
    for descriptor in index.get("manifests", []):
        annotations = descriptor.get("annotations") or {}
        name = annotations.get(FULL_NAME) or annotations.get(REF_NAME)
        digest = _manifest(opener, blobs, descriptor, arch, what)
        found.append(Found(digest, (str(name),) if name else ()))
    if not found:
        raise ImageCorrupt(f"cannot load {what}: its index names no image")
    return found


def _manifest(opener: Opener, blobs: Blobs, descriptor: dict[str, Any], arch: str, what: str, depth: int = 0) -> str:
    digest = str(descriptor.get("digest", ""))
    blobs.path(digest)
    with opener(_blob(digest)) as file:
        blobs.add(file, digest, JSON_LIMIT)
    document = blobs.json(digest)
    if manifest.is_index(document):
        if depth == DEEPEST:
            raise ImageCorrupt(f"cannot load {what}: its indexes lead to one another")
        return _manifest(opener, blobs, manifest.choose(document, arch, what), arch, what, depth + 1)
    layers = document.get("layers") or []
    manifest.few(layers, what)
    for part in (document.get("config"), *layers):
        name = str(part.get("digest", "")) if isinstance(part, dict) else ""
        if not blobs.claim(name):
            with opener(_blob(name)) as file:
                blobs.add(file, name)
    return digest


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _docker(opener: Opener, blobs: Blobs, what: str) -> list[Found]:
    """docker save: manifest.json is a list of {Config, RepoTags, Layers}."""
    try:
        entries = json.loads(_small(opener, "manifest.json"))
        found = [_docker_image(opener, blobs, entry, what) for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise ImageCorrupt(f"cannot load {what}: its manifest.json is not what docker save writes: {error}") from error
    if not found:
        raise ImageCorrupt(f"cannot load {what}: it holds no image")
    return found


def _docker_image(opener: Opener, blobs: Blobs, entry: dict[str, Any], what: str) -> Found:
    config = decode(_small(opener, entry["Config"]), f"{entry['Config']} of {what}")
    layers = []
    manifest.few(entry["Layers"], what)
    for name in entry["Layers"]:
        with opener(name) as file:
            digest, size = blobs.add(file)
        layers.append({"mediaType": manifest.LAYER, "digest": digest, "size": size})
    return Found(store_image(blobs, config, layers), tuple(map(str, entry.get("RepoTags") or ())))


def store_image(blobs: Blobs, config: dict[str, Any], layers: list[dict[str, Any]]) -> str:
    """Writes configuration and manifest of layers that are in the store; the manifest's digest."""
    raw = manifest.encode(config)
    config_digest, size = blobs.add(io.BytesIO(raw))
    document = {
        "schemaVersion": 2,
        "mediaType": manifest.MANIFEST,
        "config": {"mediaType": manifest.CONFIG, "digest": config_digest, "size": size},
        "layers": layers,
    }
    return blobs.add(io.BytesIO(manifest.encode(document)))[0]
