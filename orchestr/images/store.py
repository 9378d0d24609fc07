"""The content store of one daemon: names, blobs, layers, and the machine itself as `local/host`.

<root>/blobs/sha256/   manifests, configurations, layers as they came (OCI image layout)
<root>/layers/         layers unpacked
<root>/names.json      reference -> digest of its manifest or index, which came from a registry, which lost their names
<root>/host/           skeletons of local/host
"""

import difflib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from orchestr.arch import arch
from orchestr.images import archive, garbage, manifest, mounting, names
from orchestr.images.blobs import Blobs
from orchestr.images.difference import Change, differences
from orchestr.images.garbage import Parts, Watermarks
from orchestr.images.host import BINDS, Host
from orchestr.images.host import NAME as HOST
from orchestr.images.layers import FULL, Layers
from orchestr.images.names import Names
from orchestr.images.reference import HUB, parse, spellings
from orchestr.images.save import write
from orchestr.images.seam import Image, ImageError, ImageNotFound, Uses

ARCH = arch()
NOTHING, DEFAULT = Uses(), Watermarks()
SCRATCH = ("load-", "save-", ".bootstrap-")  # files and directories that live no longer than a request
LOCAL = "local/"  # names below it are of no registry


class Images:
    """Fulfils ContentStore. Thread-safe: changes under one lock, look-ups on what was last written whole."""

    def __init__(
        self,
        root: str,
        default: str = HUB,
        watermarks: Watermarks = DEFAULT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`default` is the registry that names without a host belong to."""
        os.makedirs(root, mode=0o700, exist_ok=True)
        self.root, self.blobs, self.layers, self._host = root, Blobs(root), Layers(root), Host(root)
        self.lock = threading.Lock()
        self._file = os.path.join(root, "names.json")
        self.default, self.watermarks, self._clock = default, watermarks, clock
        self.names = names.read(self._file)
        self._leases: dict[object, float] = {}
        self._known: dict[str, Image] = {}
        self._parts: dict[str, Parts] = {}
        self._sweep()

    def _sweep(self) -> None:
        """What a daemon that was killed was about to do is undone."""
        self.layers.sweep()
        self.blobs.sweep()
        for name in os.listdir(self.root):
            if name.startswith(SCRATCH):
                path = os.path.join(self.root, name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)

    # -- look-ups

    def resolve(self, reference: str) -> Image:
        wanted = parse(reference)
        if wanted.name == HOST and wanted.tag in ("latest", "") and not wanted.digest:
            return self._host.image()
        top = self.top(reference)
        if top is None:
            raise self._missing(reference, str(wanted))
        return self._image(top)

    def top(self, reference: str) -> str | None:
        """The digest, of its index or manifest, by which the image is known here."""
        with suppress(ImageError):
            digest = parse(reference).digest
            return self._of_digest(digest) if digest else self.names.names.get(self._name(reference))
        return None

    def _of_digest(self, digest: str) -> str | None:
        """A blob alone is no image: it is one once all of it has come."""
        tops = self.names.tops
        return digest if digest in tops else next((top for top in tops if self._manifest(top) == digest), None)

    def _manifest(self, top: str) -> str:
        with suppress(ImageError):
            return self.parts(top).manifest
        return ""

    def _name(self, reference: str) -> str:
        """Under which of its spellings it is here; as given when it is not."""
        wanted = parse(reference)
        if str(wanted) in self.names.names:
            return str(wanted)
        return next((each for each in spellings(wanted, self.default) if each in self.names.names), str(wanted))

    def pulled(self, reference: str) -> str:
        """The digest that a registry gave for it, "" when it is not here or was made here."""
        name = self._name(reference)
        return self.names.names.get(name, "") if name in self.names.pulled else ""

    def local(self, reference: str) -> bool:
        """Is it this machine's own: loaded or built here, or below `local/`?"""
        wanted, name = parse(reference), self._name(reference)
        return wanted.name.startswith(LOCAL) or (name in self.names.names and name not in self.names.pulled)

    def list(self) -> Sequence[Image]:
        return [self._host.image(), *(self._image(top) for top in self.names.tops)]

    def _image(self, digest: str) -> Image:
        names = tuple(sorted(name for name, other in self.names.names.items() if other == digest))
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
            created=manifest.created(config),
            raw_config=config,
            layers=tuple(layer["digest"] for layer in document["layers"]),
            binds=BINDS if ids and self._host.below(ids[0]) else (),
        )

    def parts(self, top: str) -> Parts:
        """What the image consists of. ImageError when it cannot be read."""
        if top not in self._parts:
            image, config = self._image(top), self.blobs.json(self._manifest_of(top))["config"]["digest"]
            blobs = map(self.blobs.path, (top, image.digest, str(config), *image.layers))
            self._parts[top] = Parts(image.digest, image.created, frozenset((*blobs, *image.lower)))
        return self._parts[top]

    def size(self, path: str) -> int:
        """Bytes on the disk of a blob or layer."""
        if not os.path.isdir(path):
            return os.stat(path).st_blocks * 512
        return self.layers.size(f"sha256:{os.path.basename(path)}")

    def _manifest_of(self, digest: str) -> str:
        """Of an index the one for this machine."""
        document = self.blobs.json(digest)
        if not manifest.is_index(document):
            return digest
        return str(manifest.choose(document, ARCH, f"image {digest}").get("digest"))

    def _missing(self, reference: str, wanted: str) -> ImageNotFound:
        there = [f"{HOST}:latest", *sorted(self.names.names)]
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
        with self.at_work(), _room(f"load {name or os.path.basename(path)}"):
            found = archive.read(path, self.blobs, ARCH)
            entries = [(entry.names if name is None else (name,), entry.digest) for entry in found]
            for _, digest in entries:
                self._unpack(digest)
            self._add({str(parse(each)): digest for names, digest in entries for each in names})
        return [self._image(digest) for _, digest in entries]

    def add_image(self, name: str, config: dict[str, Any], layer: str, media_type: str) -> Image:
        """An image of one layer (a file): what bootstrap makes."""
        with self.at_work(), _room(f"store {name}"):
            with open(layer, "rb") as file:
                digest, size = self.blobs.add(file)
            diff_id = config["rootfs"]["diff_ids"][0]
            self.layers.unpack(self.blobs.path(digest), diff_id)
            made = archive.store_image(self.blobs, config, [{"mediaType": media_type, "digest": digest, "size": size}])
            self._add({str(parse(name)): made})
        return self._image(made)

    def take(self, made: Iterable[tuple[str, str, str]]) -> None:
        """Layers that a build made: (directory, archive, digest of both). They are synced before they are visible."""
        self.layers.sync()
        for directory, archive_, digest in made:
            self.layers.take(directory, digest)
            self.blobs.take(archive_, digest)
        self.layers.sync()

    def add_built(self, names: Sequence[str], config: dict[str, Any], layers: Sequence[dict[str, Any]]) -> Image:
        """An image of layers that are here."""
        made = archive.store_image(self.blobs, config, [*layers])
        self._add({str(parse(name)): made for name in names})
        if not names:
            with self.lock:
                self.become(self.names.nameless(made))
        return self._image(made)

    def remember_host(self, diff_id: str) -> None:
        """The layer is the skeleton of this machine."""
        self._host.remember(diff_id)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While somebody brings an image, what he writes or finds here is left alone: it has no name yet."""
        lease = object()
        with self.lock:
            self._leases[lease] = self._clock()
        try:
            yield
        finally:
            with self.lock:
                del self._leases[lease]

    @property
    def since(self) -> float:
        """When the first of those who are at work began; infinite when nobody is."""
        return min(self._leases.values(), default=float("inf"))

    def unpack_layer(self, config: str, blob: str, index: int) -> None:
        """Layer number `index` of an image whose configuration is here, so that it is ready before the others are."""
        ids = self.blobs.json(config).get("rootfs", {}).get("diff_ids", [])
        if index < len(ids):
            self.layers.unpack(self.blobs.path(blob), str(ids[index]))

    def add_pulled(self, reference: str, digest: str) -> Image:
        """What the registry's worker has brought gets its name. ImageCorrupt when it is not whole."""
        self._unpack(self._manifest_of(digest))
        self._add({str(parse(reference)): digest}, pulled=True)
        return self._image(digest)

    def tag(self, reference: str, name: str) -> None:
        wanted = parse(name)
        if wanted.digest or wanted.name == HOST:
            raise ImageError(f"cannot tag {name}: give a NAME[:TAG] of your own")
        with self.lock:
            top = self.top(reference)
            if top is None:
                raise self._missing(reference, self._name(reference))
            self.become(self.names.added({str(wanted): top}, pulled=self._name(reference) in self.names.pulled))

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

    def remove(self, reference: str, uses: Uses = NOTHING) -> None:
        """Takes the name. With the last one the image goes, once nobody uses it."""
        with self.lock:
            wanted, top = self._name(reference), self.top(reference)
            if wanted in self.names.names:
                self.become(self.names.removed([wanted]))
            elif top is not None and parse(reference).digest and top in self.names.loose:
                self.become(self.names.released(top))
            else:
                raise self._missing(reference, wanted)
        with suppress(ImageError):  # of another image; who collects will tell
            self.collect(uses)

    def collect(self, uses: Uses) -> garbage.Freed:
        """Removes images that have lost their names by the user's will and that nobody uses (any more). ImageError."""
        goes = [each for each in garbage.held(self, uses) if each.goes and not each.used]
        return garbage.take(self, goes, self._clock()) if goes else garbage.Freed()

    def mount(self, reference: str) -> str:
        """The directory in which the image can be looked into; it is in use until it is unmounted. ImageError."""
        with self.lock:
            image = self.resolve(reference)
            if image.binds:
                raise ImageError(f"cannot mount {reference}: it is this machine itself (look into /usr)")
            return mounting.mount(self.root, image)

    def difference(self, before: str, after: str, upper: str = "") -> Sequence[Change]:
        """Between two images, or of one and a container's own directory `upper` over the other. ImageError."""
        images = [self.resolve(each) for each in (before, after)]
        if any(each.binds for each in images):
            raise ImageError(f"cannot compare {before} with {after}: {HOST} is this machine itself")
        own = (upper,) if upper else ()
        return list(differences(images[0].lower, (*own, *images[1].lower)))

    def mounts(self) -> Mapping[str, Image]:
        """By directory."""
        found = mounting.mounted(self.root)
        return {mounting.place(self.root, each.digest): each for each in self.list() if each.digest in found}

    def unmount(self, references: Sequence[str] | None) -> None:
        """All images where none is named. ImageError."""
        found = mounting.mounted(self.root)
        digests = found if references is None else {self.resolve(each).digest: each for each in references}
        for digest in digests:
            if digest not in found:
                raise ImageError(f"cannot unmount {digest}: it is not mounted (orch image mount lists what is)")
            mounting.unmount(self.root, digest)

    def prune(
        self, uses: Uses, *, everything: bool = False, until: float | None = None, dry: bool = False
    ) -> garbage.Freed:
        """What nobody uses goes: leftovers and images without a name, with `everything` all images; only those made
        before `until`, where it is given. ImageError."""
        goes = garbage.prunable(garbage.held(self, uses), everything=everything, until=until)
        return garbage.take(self, goes, self._clock(), leftovers=0.0, dry=dry)

    def usage(self, uses: Uses) -> garbage.Usage:
        """ImageError."""
        return garbage.usage(self, uses, self._clock())

    def _add(self, fresh: Mapping[str, str], *, pulled: bool = False) -> None:
        with self.lock:
            self.become(self.names.added(fresh, pulled=pulled))

    def become(self, state: Names) -> None:
        """With the lock held."""
        names.write(self._file, state)
        self.names = state
        self._known.clear()


@contextmanager
def _room(what: str) -> Iterator[None]:
    """A full disk is told as such."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise ImageError(f"cannot {what}: {error.strerror} (make room: orch image prune)") from error
