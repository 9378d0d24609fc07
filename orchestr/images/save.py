"""Writes images to a file: oci-archive, docker-archive, or an OCI layout directory (`oci`)."""

import io
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from typing import Any

from orchestr.images import manifest
from orchestr.images.archive import FULL_NAME, REF_NAME
from orchestr.images.blobs import Blobs
from orchestr.images.reference import Reference
from orchestr.images.seam import Image, ImageError

Entry = tuple[str, bytes | str]  # name in the archive; content, or the path of a file that holds it
FORMATS = ("oci-archive", "docker-archive", "oci")


def write(blobs: Blobs, images: Sequence[tuple[Reference, Image]], path: str, format: str) -> None:
    """The file appears whole or not at all. Raises ImageError for an unknown format."""
    if format not in FORMATS:
        raise ImageError(f"cannot save as {format!r}: not a format (use {', '.join(FORMATS)})")
    entries = _docker(blobs, images) if format == "docker-archive" else _oci(blobs, images)
    if format == "oci":
        _directory(entries, path)
        return
    temporary = f"{path}.new"
    try:
        with tarfile.open(temporary, "w:") as tar:
            for name, content in entries:
                _append(tar, name, content)
        os.rename(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def _append(tar: tarfile.TarFile, name: str, content: bytes | str) -> None:
    info = tarfile.TarInfo(name)
    info.mode = 0o644
    if isinstance(content, bytes):
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
        return
    with open(content, "rb") as file:
        info.size = os.fstat(file.fileno()).st_size
        tar.addfile(info, file)


def _directory(entries: Iterator[Entry], path: str) -> None:
    for name, content in entries:
        target = os.path.join(path, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as out:
            if isinstance(content, bytes):
                out.write(content)
            else:
                with open(content, "rb") as file:
                    while chunk := file.read(1 << 20):
                        out.write(chunk)


def _parts(blobs: Blobs, image: Image) -> dict[str, Any]:
    return blobs.json(image.digest)


def _oci(blobs: Blobs, images: Sequence[tuple[Reference, Image]]) -> Iterator[Entry]:
    yield "oci-layout", b'{"imageLayoutVersion":"1.0.0"}'
    descriptors, written = [], set()
    for reference, image in images:
        document = _parts(blobs, image)
        for digest in (image.digest, document["config"]["digest"], *(part["digest"] for part in document["layers"])):
            if digest not in written:
                written.add(digest)
                yield f"blobs/{digest.replace(':', '/')}", blobs.path(digest)
        name = str(reference)
        descriptors.append({
            "mediaType": manifest.MANIFEST,
            "digest": image.digest,
            "size": os.path.getsize(blobs.path(image.digest)),
            "annotations": {REF_NAME: name, FULL_NAME: name},
        })  # fmt: skip
    yield "index.json", manifest.encode({"schemaVersion": 2, "manifests": descriptors})


def _docker(blobs: Blobs, images: Sequence[tuple[Reference, Image]]) -> Iterator[Entry]:
    entries: dict[str, dict[str, Any]] = {}
    written: set[str] = set()
    for reference, image in images:
        document = _parts(blobs, image)
        config, layers = document["config"]["digest"], [part["digest"] for part in document["layers"]]
        names = {config: f"{config[7:]}.json"} | {layer: f"{layer[7:]}/layer.tar" for layer in layers}
        for digest, name in names.items():
            if digest not in written:
                written.add(digest)
                yield name, blobs.path(digest)
        entry = {"Config": names[config], "RepoTags": [], "Layers": [names[layer] for layer in layers]}
        entries.setdefault(image.digest, entry)["RepoTags"].append(str(reference))
    yield "manifest.json", json.dumps(list(entries.values())).encode()
