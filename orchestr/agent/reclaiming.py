"""Removes the directories of volumes that this machine made for claims which are gone, and then the volumes.

The controller of volumes marks them Released. Because the content goes for good, the store is asked once more whether
the claim is really gone, and only what lies below our own directory is touched.
"""

import os
from contextlib import suppress

import trio

from orchestr.agent.node import Node, log
from orchestr.agent.pulse import Pulse
from orchestr.agent.volumes import remove_tree
from orchestr.api.base import Key
from orchestr.api.core import PersistentVolumeClaim
from orchestr.api.errors import ApiError
from orchestr.api.storage import PROVISIONED_BY, PROVISIONER, PersistentVolume

RETRY = 5.0  # seconds before what could not be removed is tried again


def left_behind(volume: PersistentVolume) -> bool:
    """Whether the volume is ours to remove. Pure."""
    return (
        volume.status.phase == "Released"
        and volume.spec.persistent_volume_reclaim_policy == "Delete"
        and volume.metadata.annotations.get(PROVISIONED_BY) == PROVISIONER
        and not volume.metadata.deleting
    )


class Reclaimer:
    def __init__(self, node: Node) -> None:
        self._node, self._pulse = node, Pulse()

    async def run(self) -> None:
        """Never returns."""
        informer = self._node.informers.add(PersistentVolume)
        await informer.synced.wait()
        informer.add_handler(lambda _old, _new: self._pulse.wake())
        while True:
            beat, failed = self._pulse.beat, False
            for volume in self._node.informers.all(PersistentVolume):
                if left_behind(volume):
                    failed |= not await self._reclaim(volume)
            with trio.move_on_after(RETRY if failed else float("inf")):
                await self._pulse.after(beat)

    async def _reclaim(self, volume: PersistentVolume) -> bool:
        """False when it has to be tried again."""
        try:
            if not await self._abandoned(volume):
                return True
            await trio.to_thread.run_sync(self._remove, volume.spec.path)
            await self._node.cluster.delete(volume)
        except (OSError, ApiError) as error:
            log.warning("cannot remove volume %s: %s (will try again)", volume.metadata.name, error)
            self._node.recorder.record(volume, "VolumeFailedDelete", str(error), warning=True)
            return False
        return True

    async def _abandoned(self, volume: PersistentVolume) -> bool:
        """As the store says now, not as a cache does."""
        stored = await self._node.cluster.get(PersistentVolume, volume.key)
        ref = stored.spec.claim_ref if stored is not None and left_behind(stored) else None
        if ref is None:
            return False
        claim = await self._node.cluster.get(PersistentVolumeClaim, Key(ref.namespace or "", ref.name or ""))
        return claim is None or claim.metadata.uid != ref.uid

    def _remove(self, path: str) -> None:
        root = self._node.places.volumes
        if os.path.commonpath((root, os.path.normpath(path))) != root or os.path.normpath(path) == root:
            raise OSError(f"{path} is not below {root}")
        if os.path.isdir(path):
            remove_tree(path)
        with suppress(OSError):  # the namespace's other volumes may still be there
            os.rmdir(os.path.dirname(path))
