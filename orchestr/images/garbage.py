"""What may go, and how it goes.

Kept are: every image with a name, every image that pods or workloads name or containers run from, and what somebody
who brings an image just now has written or counts on. That last is told by time: a blob or layer that changed (ctime)
since the first of those began is left alone, and whoever finds one here that he needs touches it.

What goes first gets another name, in one step, and is removed then: half a layer is never seen as a whole one.
"""

import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from orchestr.images.blobs import GONE, exclusive
from orchestr.images.mounting import mounted
from orchestr.images.names import Names
from orchestr.images.seam import ImageError, Uses

if TYPE_CHECKING:
    from orchestr.images.store import Images

YOUNG: Final = 120.0  # seconds for which an image that came is left alone, as the kubelet does
STALE: Final = 7 * 86400.0  # seconds for which pulls that broke off, and steps of builds, wait for somebody to go on
_SLACK: Final = 2.0  # seconds by which the clock of files may be behind


class Watermarks(NamedTuple):
    """How full the disk may be, in percent: above `high` images go until it is at `low`. The kubelet's numbers."""

    high: int = 85
    low: int = 80


class Parts(NamedTuple):
    """What an image consists of."""

    manifest: str = ""  # its digest
    created: str = ""  # RFC 3339
    paths: frozenset[str] = frozenset()  # of blobs and of unpacked layers


@dataclass(frozen=True, slots=True)
class Held:
    """An image that is here, as a collector sees it."""

    digest: str  # by which it is known here: of its index or manifest
    names: tuple[str, ...]
    parts: Parts
    used: bool
    goes: bool  # it has lost its name by the user's will
    pulled: bool  # a registry has it: it can be had again
    last_used: float  # seconds since the epoch; when it came, if nobody did


class Freed(NamedTuple):
    """What went, or would go."""

    images: tuple[Held, ...] = ()
    leftovers: int = 0  # blobs and layers of no image
    size: int = 0  # bytes


def held(images: "Images", uses: Uses) -> list[Held]:
    """Every image that is here but the machine's own. ImageError when one cannot be read."""
    state = images.names
    used = {images.top(name) for name in uses.names}
    digests = uses.digests | mounted(images.root)
    found = []
    for top in state.tops:
        parts = _parts(images, state, top)
        names = tuple(sorted(name for name, digest in state.names.items() if digest == top))
        found.append(
            Held(
                digest=top,
                names=names,
                parts=parts,
                used=top in used or parts.manifest in digests,
                goes=state.loose.get(top, False),
                pulled=state.pulled.issuperset(names),
                last_used=_touched_at(images, parts.manifest),
            )
        )
    return found


def _parts(images: "Images", state: Names, top: str) -> Parts:
    """Nothing of one without a name that cannot be read: nobody can use it. ImageError of one with a name."""
    try:
        return images.parts(top)
    except ImageError as error:
        name = next((name for name, digest in state.names.items() if digest == top), "")
        if not name:
            return Parts(paths=frozenset((images.blobs.path(top),)))
        raise ImageError(f"cannot collect images: {error}; it is part of {name} (orch image remove {name})") from error


def _touched_at(images: "Images", manifest: str) -> float:
    return os.stat(images.blobs.path(manifest)).st_mtime if manifest and images.blobs.has(manifest) else 0.0


def note_use(images: "Images", found: Iterable[Held]) -> None:
    """Kept as the time of the manifest's file: it outlives the daemon."""
    for each in found:
        if each.used:
            os.utime(images.blobs.path(each.parts.manifest))


def prunable(found: Iterable[Held], *, everything: bool, until: float | None) -> list[Held]:
    """What `orch image prune` takes: images without a name, or all that nobody uses; made before `until`. Pure."""
    return [
        each
        for each in found
        if not each.used and (everything or not each.names) and (until is None or _seconds(each.parts.created) < until)
    ]


def expendable(found: Iterable[Held], now: float) -> list[Held]:
    """In which order images go when the disk is full: without a name first, then the longest unused. What came from no
    registry could not be had again, so it stays. Pure."""
    unused = [each for each in found if not each.used and each.pulled and now - each.last_used > YOUNG]
    return sorted(unused, key=lambda each: (bool(each.names), each.last_used))


def _seconds(created: str) -> float:
    """0 for what says no time."""
    try:
        return datetime.fromisoformat(created).timestamp()
    except ValueError:
        return 0.0


def take(
    images: "Images", goes: Sequence[Held], now: float, *, leftovers: float | None = None, dry: bool = False
) -> Freed:
    """Removes these images, of their content what no other shares, and what belongs to no image if nobody touched it
    for `leftovers` seconds. `dry`: only says what it would do. ImageError."""
    with images.lock:
        lately = mounted(images.root)
        goes = [each for each in goes if each.parts.manifest not in lately]
        rest = images.names.forgotten(each.digest for each in goes)
        kept = frozenset[str]().union(*(_parts(images, rest, top).paths for top in rest.tops))
        going = frozenset[str]().union(*(each.parts.paths for each in goes))
        strays = [] if leftovers is None else [p for p in _everything(images) if p not in kept | going]
        since = images.since - _SLACK
        paths = [path for path in going - kept if _changed(path) < since]
        old = [path for path in strays if _changed(path) < min(since, now - (leftovers or 0))]
        freed = Freed(tuple(goes), len(old), sum(map(images.size, (*paths, *old))))
        if dry:
            return freed
        if goes:
            images.become(rest)
        with exclusive(images.root):
            moved = [_aside(path) for path in (*paths, *old) if _changed(path) < since]
    for path in moved:
        _remove(path)
    return freed


class Usage(NamedTuple):
    """Bytes on the disk."""

    images: tuple[tuple[Held, int, int], ...]  # its whole size, and what of it no other image shares
    total: int  # of all images
    idle: int  # of those that nobody uses
    leftovers: Freed


def usage(images: "Images", uses: Uses, now: float) -> Usage:
    """What is on the disk. ImageError."""
    found = held(images, uses)
    owners = Counter(path for each in found for path in each.parts.paths)
    sizes = {path: images.size(path) for path in owners if os.path.exists(path)}
    used = {path for each in found if each.used for path in each.parts.paths}
    rows = [
        (
            each,
            sum(sizes.get(path, 0) for path in each.parts.paths),
            sum(sizes.get(path, 0) for path in each.parts.paths if owners[path] == 1),
        )
        for each in found
    ]
    total = sum(sizes.values())
    idle = sum(size for path, size in sizes.items() if path not in used)
    return Usage(tuple(rows), total, idle, take(images, (), now, leftovers=0.0, dry=True))


def _everything(images: "Images") -> Iterator[str]:
    """The paths of all blobs and layers, and of blobs that somebody has begun to fetch."""
    yield from map(images.blobs.path, images.blobs.all())
    yield from map(images.layers.path, images.layers.diff_ids())
    if images.since == float("inf"):  # else somebody may be about to go on with one
        yield from filter(_idle, images.blobs.leftovers())


def _idle(path: str) -> bool:
    """Nobody fetches it."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except OSError:
        return False


def _changed(path: str) -> float:
    """Infinite for what is not there."""
    try:
        return os.stat(path).st_ctime
    except FileNotFoundError:
        return float("inf")


def _aside(path: str) -> str:
    folder, name = os.path.split(path)
    target = os.path.join(folder, f"{GONE}{name}")
    _remove(target)  # left by somebody who was killed
    os.rename(path, target)
    return target


def _remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.exists(path):
        os.unlink(path)
