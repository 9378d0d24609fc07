"""Content by digest: <root>/blobs/sha256/<hex>, as in an OCI image layout. A blob is there whole or not at all."""

import fcntl
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from orchestr.images.reference import DIGEST
from orchestr.images.seam import ImageCorrupt

CHUNK = 1 << 20
GONE = ".gone-"  # what is taken away gets a name with this first, in one step, and is removed then
JSON_LIMIT = 4 << 20  # bytes of a manifest or configuration; image-spec asks registries for 4 MiB


class Blobs:
    def __init__(self, root: str) -> None:
        self.root = root
        self._folder = os.path.join(root, "blobs", "sha256")
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        with shared(root):
            pass  # whoever pulls may write below blobs/ only: the lock must be there

    def path(self, digest: str) -> str:
        if not DIGEST.fullmatch(digest):
            raise ImageCorrupt(f"cannot use digest {digest[:100]!r}: only sha256 is supported")
        return os.path.join(self._folder, digest.removeprefix("sha256:"))

    def partial(self, digest: str) -> str:
        """Where a blob grows that comes from afar."""
        return os.path.join(self._folder, f".part-{os.path.basename(self.path(digest))}")

    def has(self, digest: str) -> bool:
        return os.path.exists(self.path(digest))

    def claim(self, digest: str) -> bool:
        """Whether it is here; if so, whoever is at work may count on it (see garbage.py)."""
        with shared(self.root):
            return touched(self.path(digest))

    def add(self, source: IO[bytes], expected: str = "", most: float = math.inf) -> tuple[str, int]:
        """Stores what `source` gives: (digest, size). ImageCorrupt when it is not what was expected, or larger."""
        digest, size = hashlib.sha256(), 0
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".new-", delete=False) as file:
            try:
                while chunk := source.read(CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    if size > most:
                        raise ImageCorrupt(f"cannot store blob {expected}: it is larger than {most} bytes")
                    file.write(chunk)
                name = f"sha256:{digest.hexdigest()}"
                if expected and name != expected:
                    raise ImageCorrupt(f"cannot store blob {expected}: its content is {name} (get the image again)")
                file.flush()
                os.fsync(file.fileno())
                os.rename(file.name, self.path(name))
                sync_folder(self._folder)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(file.name)
                raise
        return name, size

    def take(self, path: str, digest: str) -> None:
        """A file that was made here, on this file system, hashed and synced."""
        os.rename(path, self.path(digest))

    def json(self, digest: str) -> dict[str, Any]:
        """A small JSON blob, its digest verified. Raises ImageCorrupt."""
        try:
            with open(self.path(digest), "rb") as file:
                content = file.read(JSON_LIMIT + 1)
        except FileNotFoundError as error:
            raise ImageCorrupt(f"cannot read blob {digest}: it is not in the store (load the image again)") from error
        if len(content) > JSON_LIMIT or f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            raise ImageCorrupt(f"cannot use blob {digest}: its content changed or is too large (load the image again)")
        return decode(content, digest)

    def all(self) -> Iterator[str]:
        for name in os.listdir(self._folder):
            if not name.startswith("."):
                yield f"sha256:{name}"

    def leftovers(self) -> Iterator[str]:
        """Paths of blobs that never came whole."""
        for name in os.listdir(self._folder):
            if name.startswith(".part-"):
                yield os.path.join(self._folder, name)

    def sweep(self) -> None:
        """Removes what a process that was killed was writing. What came from afar stays: it goes on from there."""
        for name in os.listdir(self._folder):
            if name.startswith((".new-", GONE)):
                os.unlink(os.path.join(self._folder, name))


def touched(path: str) -> bool:
    """Whether it is there, with a new time of change (ctime) then."""
    try:
        found = os.stat(path)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    except FileNotFoundError:
        return False
    return True


@contextmanager
def shared(root: str) -> Iterator[None]:
    """Nothing is taken away meanwhile. Between processes: the one that pulls is not the one that collects."""
    with _locked(root, fcntl.LOCK_SH):
        yield


@contextmanager
def exclusive(root: str) -> Iterator[None]:
    """Nobody claims anything meanwhile."""
    with _locked(root, fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(root: str, how: int) -> Iterator[None]:
    descriptor = os.open(os.path.join(root, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def sync_folder(path: str) -> None:
    """The names in a directory are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def decode(content: bytes, what: str) -> dict[str, Any]:
    """A JSON object. Raises ImageCorrupt."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ImageCorrupt(f"cannot read {what}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ImageCorrupt(f"cannot read {what}: not a JSON object")
    return value
