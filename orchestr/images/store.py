"""The content store of one daemon: names, blobs, layers, and the machine itself as `local/host`.

<root>/blobs/sha256/   manifests, configurations, layers as they came (OCI image layout)
<root>/layers/         layers unpacked
<root>/names.json      reference -> manifest digest; written whole
<root>/host/           skeletons of local/host
"""

import difflib
import json
import os
import threading
from collections.abc import Sequence
from typing import Any

from orchestr.arch import arch
from orchestr.images import archive, manifest
from orchestr.images.blobs import Blobs
from orchestr.images.host import NAME as HOST
from orchestr.images.host import Host
from orchestr.images.layers import Layers
from orchestr.images.reference import parse
from orchestr.images.save import write
from orchestr.images.seam import Image, ImageCorrupt, ImageError, ImageNotFound

ARCH = arch()


class Images:
    """Fulfils ContentStore. Thread-safe: changes under one lock, look-ups on what was last written whole."""

    def __init__(self, root: str) -> None:
        os.makedirs(root, mode=0o700, exist_ok=True)
        self.root, self.blobs, self.layers, self._host = root, Blobs(root), Layers(root), Host(root)
        self._lock = threading.Lock()
        self._file = os.path.join(root, "names.json")
        self._names: dict[str, str] = self._read()
        self._known: dict[str, Image] = {}
        self.layers.sweep()

    def _read(self) -> dict[str, str]:
        try:
            with open(self._file, encoding="utf-8") as file:
                return {str(name): str(digest) for name, digest in json.load(file).items()}
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError) as error:
            raise ImageCorrupt(
                f"cannot read {self._file}: {error} (restore it, or remove it and load images anew)"
            ) from error

    # -- look-ups

    def resolve(self, reference: str) -> Image:
        wanted = parse(reference)
        if wanted.name == HOST and wanted.tag in ("latest", "") and not wanted.digest:
            return self._host.image()
        if wanted.digest:
            digest = wanted.digest if self.blobs.has(wanted.digest) else None
        else:
            digest = self._names.get(str(wanted))
        if digest is None:
            raise ImageNotFound(self._missing(reference, str(wanted)))
        return self._image(digest)

    def list(self) -> Sequence[Image]:
        digests = dict.fromkeys(self._names.values())
        return [self._host.image(), *(self._image(digest) for digest in digests)]

    def _image(self, digest: str) -> Image:
        names = tuple(sorted(name for name, other in self._names.items() if other == digest))
        known = self._known.get(digest)
        if known is None or known.names != names:
            self._known[digest] = known = self._load(digest, names)
        return known

    def _load(self, digest: str, names: tuple[str, ...]) -> Image:
        document = self.blobs.json(digest)
        config = self.blobs.json(document["config"]["digest"])
        ids = manifest.check(document, config, f"image {names[0] if names else digest}")
        return Image(
            digest=digest,
            names=names,
            config=manifest.image_config(config),
            lower=tuple(self.layers.path(diff_id) for diff_id in reversed(ids)),
            size=sum(int(layer.get("size", 0)) for layer in document["layers"]),
            created=str(config.get("created", "")),
            raw_config=config,
            layers=tuple(layer["digest"] for layer in document["layers"]),
        )

    def _missing(self, reference: str, wanted: str) -> str:
        there = [f"{HOST}:latest", *sorted(self._names)]
        near = difflib.get_close_matches(wanted, there, 1, 0.7)
        short = wanted.partition(":")[0].rpartition("/")[2]
        how = (
            f"orch image load ARCHIVE, or orch image bootstrap {short} --suite bookworm --package {short}; "
            "pulling from a registry is not supported"
        )
        hint = f"did you mean {near[0]}? " if near else ""
        return f"cannot find image {reference}: {hint}here are {', '.join(there[:20])} ({how})"

    # -- changes

    def load(self, path: str, name: str | None = None) -> Sequence[Image]:
        with self._lock:
            found = archive.read(path, self.blobs, ARCH)
            entries = [(entry.names if name is None else (name,), entry.digest) for entry in found]
            for _, digest in entries:
                self._unpack(digest)
            self._add({str(parse(each)): digest for names, digest in entries for each in names})
        return [self._image(digest) for _, digest in entries]

    def add_image(self, name: str, config: dict[str, Any], layer: str, media_type: str) -> Image:
        """An image of one layer (a file): what bootstrap makes."""
        with self._lock:
            with open(layer, "rb") as file:
                digest, size = self.blobs.add(file)
            diff_id = config["rootfs"]["diff_ids"][0]
            self.layers.unpack(self.blobs.path(digest), diff_id)
            made = archive.store_image(self.blobs, config, [{"mediaType": media_type, "digest": digest, "size": size}])
            self._add({str(parse(name)): made})
        return self._image(made)

    def _unpack(self, digest: str) -> None:
        document = self.blobs.json(digest)
        ids = manifest.check(document, self.blobs.json(document["config"]["digest"]), f"image {digest}")
        for layer, diff_id in zip(document["layers"], ids, strict=True):
            self.layers.unpack(self.blobs.path(layer["digest"]), diff_id)

    def save(self, references: Sequence[str], path: str, *, format: str = "oci-archive") -> None:
        images = [self.resolve(reference) for reference in references]
        if any(image.binds for image in images):
            raise ImageError(f"cannot save {HOST}: it is this machine itself (save an image made by bootstrap or load)")
        write(self.blobs, [(parse(r), image) for r, image in zip(references, images, strict=True)], path, format)

    def remove(self, reference: str) -> None:
        wanted = str(parse(reference))
        with self._lock:
            if wanted not in self._names:
                raise ImageNotFound(self._missing(reference, wanted))
            self._add({}, without=wanted)
            self._collect()

    def _add(self, names: dict[str, str], *, without: str = "") -> None:
        fresh = {name: digest for name, digest in (self._names | names).items() if name != without}
        temporary = self._file + ".new"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(fresh, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, self._file)
        self._names = fresh
        self._known.clear()

    def _collect(self) -> None:
        """Blobs and layers that no name leads to go. A layer in use keeps its inodes until its containers end."""
        kept: set[str] = set()
        ids: set[str] = set()
        for digest in self._names.values():
            document = self.blobs.json(digest)
            kept |= {digest, document["config"]["digest"], *(layer["digest"] for layer in document["layers"])}
            ids |= set(self.blobs.json(document["config"]["digest"])["rootfs"]["diff_ids"])
        for digest in list(self.blobs.all()):
            if digest not in kept:
                self.blobs.discard(digest)
        for diff_id in self.layers.diff_ids():
            if diff_id not in ids:
                self.layers.discard(diff_id)
