"""Layers, unpacked once: <root>/layers/<hex of diff_id>, shared by all images and containers as overlay lower dirs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

from orchestr.images.reference import DIGEST
from orchestr.images.seam import ImageCorrupt


class Layers:
    def __init__(self, root: str) -> None:
        self._folder = os.path.join(root, "layers")
        os.makedirs(self._folder, mode=0o700, exist_ok=True)

    def path(self, diff_id: str) -> str:
        """Where a layer with this digest of its unpacked archive lies, or would lie."""
        if not DIGEST.fullmatch(diff_id):
            raise ImageCorrupt(f"cannot use layer {diff_id[:100]!r}: only sha256 is supported")
        return os.path.join(self._folder, diff_id.removeprefix("sha256:"))

    def unpack(self, blob: str, diff_id: str) -> str:
        """The layer's directory, unpacked from the blob file unless it is there. Raises ImageCorrupt."""
        place = self.path(diff_id)
        if os.path.isdir(place):
            return place
        target = tempfile.mkdtemp(dir=self._folder, prefix=".new-")
        try:
            os.chmod(target, 0o755)
            found = _unpack(blob, target)
            if found != diff_id:
                raise ImageCorrupt(f"cannot unpack layer {diff_id}: its content is {found} (get the image again)")
            _sync(target)
            os.rename(target, place)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            if os.path.isdir(place):  # somebody else unpacked it meanwhile
                return place
            raise
        return place

    def diff_ids(self) -> list[str]:
        return [f"sha256:{name}" for name in os.listdir(self._folder) if not name.startswith(".")]

    def discard(self, diff_id: str) -> None:
        shutil.rmtree(self.path(diff_id), ignore_errors=True)

    def sweep(self) -> None:
        """Removes what an unpacking that was killed left."""
        for name in os.listdir(self._folder):
            if name.startswith(".new-"):
                shutil.rmtree(os.path.join(self._folder, name), ignore_errors=True)


def _sync(path: str) -> None:
    """Everything on the file system that holds the layer is written before the layer becomes visible: syncfs(2)."""
    import ctypes

    descriptor = os.open(path, os.O_RDONLY)
    try:
        ctypes.CDLL(None, use_errno=True).syncfs(descriptor)
    finally:
        os.close(descriptor)


def _unpack(blob: str, target: str) -> str:
    """Runs the unpacking program; the diff_id of what it unpacked. Raises ImageCorrupt."""
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
    if "error" in found:
        raise ImageCorrupt(
            f"cannot unpack layer {os.path.basename(blob)[:12]}: {found['error']} (the image is unusable)"
        )
    return str(found["diff_id"])
