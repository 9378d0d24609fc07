"""The names of the images that are here: one small file, written whole."""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from orchestr.images.blobs import sync_folder
from orchestr.images.seam import ImageCorrupt


class Names(NamedTuple):
    """One state; a change makes another."""

    names: Mapping[str, str] = {}  # reference -> digest of its manifest or index
    pulled: frozenset[str] = frozenset()  # references that came from a registry
    loose: Mapping[str, bool] = {}  # digest that lost its last name -> whether it goes once nobody uses it

    @property
    def tops(self) -> tuple[str, ...]:
        """The digests of all images that are here."""
        return tuple(dict.fromkeys((*self.names.values(), *self.loose)))

    def added(self, names: Mapping[str, str], *, pulled: bool = False) -> "Names":
        """Images that lose a name to another one stay, without a name."""
        marked = self.pulled | names.keys() if pulled else self.pulled - names.keys()
        return self._settled({**self.names, **names}, marked, self.loose, goes=False)

    def removed(self, names: Iterable[str]) -> "Names":
        """Images that lose their last name by this go once nobody uses them."""
        gone = set(names)
        kept = {name: digest for name, digest in self.names.items() if name not in gone}
        return self._settled(kept, self.pulled, self.loose, goes=True)

    def nameless(self, digest: str) -> "Names":
        """An image that never had a name stays until it is pruned."""
        return self if digest in self.tops else self._replace(loose={**self.loose, digest: False})

    def released(self, digest: str) -> "Names":
        """An image without a name goes once nobody uses it."""
        return self._replace(loose={**self.loose, digest: True})

    def forgotten(self, digests: Iterable[str]) -> "Names":
        """Without these images and all their names."""
        gone = set(digests)
        kept = {name: digest for name, digest in self.names.items() if digest not in gone}
        loose = {digest: goes for digest, goes in self.loose.items() if digest not in gone}
        return Names(kept, self.pulled & kept.keys(), loose)

    def _settled(
        self, names: Mapping[str, str], pulled: frozenset[str], loose: Mapping[str, bool], *, goes: bool
    ) -> "Names":
        there = set(names.values())
        lost = {digest: goes for digest in self.names.values() if digest not in there}
        kept = {digest: word for digest, word in {**loose, **lost}.items() if digest not in there}
        return Names(names, pulled & names.keys(), kept)


def read(file: str) -> Names:
    """Raises ImageCorrupt."""
    try:
        with open(file, encoding="utf-8") as text:
            found = json.load(text)
        names = found.get("names", found)  # it was once the names alone
        rest = found if names is not found else {}
        return Names(
            {str(name): str(digest) for name, digest in names.items()},
            frozenset(map(str, rest.get("pulled", ()))),
            {str(digest): bool(goes) for digest, goes in rest.get("loose", {}).items()},
        )
    except FileNotFoundError:
        return Names()
    except (ValueError, AttributeError) as error:
        raise ImageCorrupt(f"cannot read {file}: {error} (restore it, or remove it and load images anew)") from error


def write(file: str, names: Names) -> None:
    """On the disk when it returns; a power cut leaves the old or the new one.

    The file before the last stays and is written over: names can be taken away on a disk that is full.
    """
    spare, old = f"{file}.new", f"{file}.old"
    document = {"names": dict(names.names), "pulled": sorted(names.pulled), "loose": dict(names.loose)}
    content = json.dumps(document, indent=1, sort_keys=True).encode()
    descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as out:
        out.write(content)
        out.truncate()
        out.flush()
        os.fsync(out.fileno())
    with suppress(FileNotFoundError):
        os.unlink(old)
    with suppress(FileNotFoundError):  # the first time
        os.link(file, old)
    os.rename(spare, file)
    if os.path.exists(old):
        os.rename(old, spare)
    sync_folder(os.path.dirname(file))
