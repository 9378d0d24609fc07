"""The content store of one daemon: names, blobs, layers, and the machine itself as `local/host`.

<root>/blobs/sha256/   manifests, configurations, layers as they came (OCI image layout)
<root>/layers/         layers unpacked
<root>/names.json      reference -> digest of its manifest or index, and which came from a registry; written whole
<root>/host/           skeletons of local/host
"""

import difflib
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from orchestr.arch import arch
from orchestr.images import archive, manifest
from orchestr.images.blobs import Blobs
from orchestr.images.host import NAME as HOST
from orchestr.images.host import Host
from orchestr.images.layers import Layers
from orchestr.images.reference import HUB, parse, spellings
from orchestr.images.save import write
from orchestr.images.seam import Image, ImageCorrupt, ImageError, ImageNotFound

ARCH = arch()
LOCAL = "local/"  # names below it are of no registry


class Images:
    """Fulfils ContentStore. Thread-safe: changes under one lock, look-ups on what was last written whole."""

    def __init__(self, root: str, default: str = HUB) -> None:
        """`default` is the registry that names without a host belong to."""
        os.makedirs(root, mode=0o700, exist_ok=True)
        self.root, self.blobs, self.layers, self._host = root, Blobs(root), Layers(root), Host(root)
        self._lock = threading.Lock()
        self._file = os.path.join(root, "names.json")
        self.default = default
        self._names, self._pulled = self._read()
        self._at_work, self._garbage = 0, False
        self._known: dict[str, Image] = {}
        self.layers.sweep()

    def _read(self) -> tuple[dict[str, str], frozenset[str]]:
        try:
            with open(self._file, encoding="utf-8") as file:
                found = json.load(file)
            names = found.get("names", found)  # it was once the names alone
            pulled = frozenset(map(str, found.get("pulled", ()))) if names is not found else frozenset[str]()
            return {str(name): str(digest) for name, digest in names.items()}, pulled
        except FileNotFoundError:
            return {}, frozenset()
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
            digest = self._names.get(self._name(reference))
        if digest is None:
            raise self._missing(reference, str(wanted))
        return self._image(digest)

    def _name(self, reference: str) -> str:
        """Under which of its spellings it is here; as given when it is not."""
        wanted = parse(reference)
        if str(wanted) in self._names:
            return str(wanted)
        return next((each for each in spellings(wanted, self.default) if each in self._names), str(wanted))

    def pulled(self, reference: str) -> str:
        """The digest that a registry gave for it, "" when it is not here or was made here."""
        name = self._name(reference)
        return self._names.get(name, "") if name in self._pulled else ""

    def local(self, reference: str) -> bool:
        """Is it this machine's own: loaded or built here, or below `local/`?"""
        wanted, name = parse(reference), self._name(reference)
        return wanted.name.startswith(LOCAL) or (name in self._names and name not in self._pulled)

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
        own = self._manifest_of(digest)
        document = self.blobs.json(own)
        config = self.blobs.json(document["config"]["digest"])
        ids = manifest.check(document, config, f"image {names[0] if names else digest}")
        return Image(
            digest=own,
            names=names,
            config=manifest.image_config(config),
            lower=tuple(self.layers.path(diff_id) for diff_id in reversed(ids)),
            size=sum(int(layer.get("size", 0)) for layer in document["layers"]),
            created=str(config.get("created", "")),
            raw_config=config,
            layers=tuple(layer["digest"] for layer in document["layers"]),
        )

    def _manifest_of(self, digest: str) -> str:
        """Of an index the one for this machine."""
        document = self.blobs.json(digest)
        if not manifest.is_index(document):
            return digest
        return str(manifest.choose(document, ARCH, f"image {digest}").get("digest"))

    def _missing(self, reference: str, wanted: str) -> ImageNotFound:
        there = [f"{HOST}:latest", *sorted(self._names)]
        near = difflib.get_close_matches(wanted, there, 1, 0.7)
        short = wanted.partition(":")[0].rpartition("/")[2]
        how = (
            f"orch image pull {reference}, orch image load ARCHIVE, or "
            f"orch image bootstrap {short} --suite bookworm --package {short}"
        )
        meant = f"did you mean {near[0]}? " if near else ""
        hint = f"{meant}here are {', '.join(there[:20])}"
        return ImageNotFound(f"cannot find image {reference}: {hint} ({how})", hint)

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

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While somebody brings an image nothing is collected: what has come of it has no name yet."""
        with self._lock:
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1
                if self._garbage:
                    self._collect()

    def unpack_layer(self, config: str, blob: str, index: int) -> None:
        """Layer number `index` of an image whose configuration is here, so that it is ready before the others are."""
        ids = self.blobs.json(config).get("rootfs", {}).get("diff_ids", [])
        if index < len(ids):
            self.layers.unpack(self.blobs.path(blob), str(ids[index]))

    def add_pulled(self, reference: str, digest: str) -> Image:
        """What the registry's worker has brought gets its name. ImageCorrupt when it is not whole."""
        wanted = parse(reference)
        self._unpack(self._manifest_of(digest))
        with self._lock:
            self._add({} if wanted.digest else {str(wanted): digest}, pulled=True)
        return self._image(digest)

    def tag(self, reference: str, name: str) -> None:
        wanted = parse(name)
        if wanted.digest or wanted.name == HOST:
            raise ImageError(f"cannot tag {name}: give a NAME[:TAG] of your own")
        with self._lock:
            known = self._name(reference)
            if known not in self._names:
                raise self._missing(reference, known)
            self._add({str(wanted): self._names[known]}, pulled=known in self._pulled)

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
        with self._lock:
            wanted = self._name(reference)
            if wanted not in self._names:
                raise self._missing(reference, wanted)
            self._add({}, without=wanted)
            self._collect()

    def _add(self, names: Mapping[str, str], *, without: str = "", pulled: bool = False) -> None:
        fresh = {name: digest for name, digest in (self._names | dict(names)).items() if name != without}
        marked = (self._pulled | names.keys() if pulled else self._pulled - names.keys()) & fresh.keys()
        temporary = self._file + ".new"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump({"names": fresh, "pulled": sorted(marked)}, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, self._file)
        self._names, self._pulled = fresh, marked
        self._known.clear()

    def _collect(self) -> None:
        """Blobs and layers that no name leads to go. A layer in use keeps its inodes until its containers end."""
        self._garbage = self._at_work > 0
        if self._garbage:
            return
        kept: set[str] = set()
        ids: set[str] = set()
        for top in self._names.values():
            digest = self._manifest_of(top)
            document = self.blobs.json(digest)
            kept |= {top, digest, document["config"]["digest"], *(layer["digest"] for layer in document["layers"])}
            ids |= set(self.blobs.json(document["config"]["digest"])["rootfs"]["diff_ids"])
        for digest in list(self.blobs.all()):
            if digest not in kept:
                self.blobs.discard(digest)
        for diff_id in self.layers.diff_ids():
            if diff_id not in ids:
                self.layers.discard(diff_id)
