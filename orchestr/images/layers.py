"""Layers, unpacked once: <root>/layers/<hex of diff_id>, shared by all images and containers as overlay lower dirs."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile

from orchestr.images.blobs import GONE, shared, sync_folder, touched
from orchestr.images.reference import DIGEST
from orchestr.images.seam import ImageCorrupt

FULL = (errno.ENOSPC, errno.EDQUOT)


class Layers:
    def __init__(self, root: str) -> None:
        self._root, self._folder = root, os.path.join(root, "layers")
        self._sizes: dict[str, int] = {}
        os.makedirs(self._folder, mode=0o700, exist_ok=True)

    def path(self, diff_id: str) -> str:
        """Where a layer with this digest of its unpacked archive lies, or would lie."""
        if not DIGEST.fullmatch(diff_id):
            raise ImageCorrupt(f"cannot use layer {diff_id[:100]!r}: only sha256 is supported")
        return os.path.join(self._folder, diff_id.removeprefix("sha256:"))

    def unpack(self, blob: str, diff_id: str) -> str:
        """The layer's directory, unpacked from the blob file unless it is there. Raises ImageCorrupt."""
        place = self.path(diff_id)
        if self.claim(diff_id):
            return place
        target = tempfile.mkdtemp(dir=self._folder, prefix=".new-")
        try:
            os.chmod(target, 0o755)
            found = _unpack(blob, target)
            if found != diff_id:
                raise ImageCorrupt(f"cannot unpack layer {diff_id}: its content is {found} (get the image again)")
            _sync(target)
            os.rename(target, place)
            sync_folder(self._folder)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            if self.claim(diff_id):  # somebody else unpacked it meanwhile
                return place
            raise
        return place

    def claim(self, diff_id: str) -> bool:
        """Whether it is here; if so, whoever is at work may count on it (see garbage.py)."""
        with shared(self._root):
            return touched(self.path(diff_id))

    def size(self, diff_id: str) -> int:
        """Bytes on the disk; 0 for one that is not here."""
        if diff_id not in self._sizes and os.path.isdir(self.path(diff_id)):
            self._sizes[diff_id] = disk_use(self.path(diff_id))
        return self._sizes.get(diff_id, 0)

    def take(self, directory: str, diff_id: str) -> None:
        """A directory that is what the layer unpacks to, on this file system, synced."""
        try:
            os.rename(directory, self.path(diff_id))
        except OSError:
            if not os.path.isdir(self.path(diff_id)):  # else it was here already
                raise

    def sync(self) -> None:
        """All that was written beside the layers is on disk."""
        _sync(self._folder)

    def diff_ids(self) -> list[str]:
        return [f"sha256:{name}" for name in os.listdir(self._folder) if not name.startswith(".")]

    def sweep(self) -> None:
        """Removes what an unpacking or a removal that was killed left."""
        for name in os.listdir(self._folder):
            if name.startswith((".new-", GONE)):
                shutil.rmtree(os.path.join(self._folder, name), ignore_errors=True)


def disk_use(path: str) -> int:
    """Bytes of all files below a directory, links counted once."""
    seen, total, pending = set[int](), 0, [path]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                if found.st_nlink == 1 or found.st_ino not in seen:
                    total += found.st_blocks * 512
                    seen.add(found.st_ino)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return total


def _sync(path: str) -> None:
    """Everything on the file system that holds the layer is written before the layer becomes visible: syncfs(2)."""
    import ctypes

    descriptor = os.open(path, os.O_RDONLY)
    try:
        ctypes.CDLL(None, use_errno=True).syncfs(descriptor)
    finally:
        os.close(descriptor)


def _unpack(blob: str, target: str) -> str:
    """Runs the unpacking program; the diff_id of what it unpacked. ImageCorrupt; OSError when the disk is full."""
    read_end, write_end = os.pipe()
    with open(blob, "rb") as source, open(read_end, "rb") as results:
        try:
            child = subprocess.Popen(
                [sys.executable, "-I", "-m", "orchestr.images.unpack", str(write_end)],
                stdin=source,
                cwd=target,
                pass_fds=(write_end,),
                stderr=subprocess.PIPE,
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
            )
        finally:
            os.close(write_end)
        _, errors = child.communicate()
        answer = results.read()
    try:
        found = json.loads(answer)
    except ValueError:
        found = {
            "error": errors.decode(errors="replace").strip().rsplit("\n", 1)[-1] or f"exit code {child.returncode}"
        }
    if found.get("errno") in FULL:
        raise OSError(found["errno"], os.strerror(found["errno"]))
    if "error" in found:
        raise ImageCorrupt(
            f"cannot unpack layer {os.path.basename(blob)[:12]}: {found['error']} (the image is unusable)"
        )
    return str(found["diff_id"])
