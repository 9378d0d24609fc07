"""Which images are in use, and the task that keeps them from filling the disk, by the kubelet's rules of image garbage.

In use is what pods name that have not finished, what their containers run from, and what the templates of workloads
name: as they are now, and in their last two revisions, so that a rollback finds what it needs.
"""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

import trio

from orchestr.agent.node import Recorder, log
from orchestr.api.apps import Deployment, ReplicaSet
from orchestr.api.base import Key, KubeObject
from orchestr.api.batch import Job
from orchestr.api.core import Node as NodeObject
from orchestr.api.core import Pod
from orchestr.api.cronjob import CronJob
from orchestr.api.daemonset import DaemonSet
from orchestr.api.errors import ApiError
from orchestr.api.pod import PodSpec
from orchestr.api.replication import ReplicationController
from orchestr.api.statefulset import StatefulSet
from orchestr.api.templates import ControllerRevision
from orchestr.engine import Cluster
from orchestr.images import garbage
from orchestr.images.seam import ImageError, Uses
from orchestr.images.store import Images

K = TypeVar("K", bound=KubeObject)

PERIOD: Final = 300.0  # seconds between two looks; the kubelet's
REVISIONS: Final = 2  # of a workload, whose images stay


async def uses(cluster: Cluster) -> Uses:
    """As the store says now."""
    names, digests = set[str](), set[str]()
    for pod in await cluster.list(Pod):
        if not pod.finished:
            names |= set(_named(pod.spec))
            every = (*pod.status.container_statuses, *pod.status.init_container_statuses)
            digests |= {each.image_id for each in (*every, *pod.status.ephemeral_container_statuses) if each.image_id}
    for deployment in await cluster.list(Deployment):
        names |= set(_named(deployment.spec.template.spec))
    for sets in (await cluster.list(StatefulSet), await cluster.list(DaemonSet)):
        names |= {name for each in sets for name in _named(each.spec.template.spec)}
    for controller in await cluster.list(ReplicationController):
        names |= set(_named(controller.spec.template.spec if controller.spec.template else None))
    names |= {name for job in await cluster.list(Job) if not job.finished for name in _named(job.spec.template.spec)}
    for periodic in await cluster.list(CronJob):
        names |= set(_named(periodic.spec.job_template.spec.template.spec))
    for replicas in newest(await cluster.list(ReplicaSet), lambda each: each.revision):
        names |= set(_named(replicas.spec.template.spec))
    for revision in newest(await cluster.list(ControllerRevision), lambda each: each.revision):
        names |= set(_kept(revision.data))
    return Uses(frozenset(names), frozenset(digests))


def newest(objects: Iterable[K], number: Callable[[K], int]) -> Iterator[K]:
    """Of each owner the last revisions; what nobody owns is a workload itself. Pure."""
    owned = defaultdict[str, list[K]](list)
    for each in objects:
        owner = each.metadata.controller
        owned[owner.uid if owner else each.metadata.uid or ""].append(each)
    for group in owned.values():
        yield from sorted(group, key=number)[-REVISIONS:]


def _named(spec: PodSpec | None) -> Iterator[str]:
    if spec is not None:
        yield from (container.image for container in spec.every_container if container.image)


def _kept(data: Any) -> Iterator[str]:
    """The images in a revision's data, which is somebody else's if it has another form."""
    try:
        spec = data["spec"]["template"]["spec"]
        for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
            yield str(container["image"])
    except (KeyError, TypeError, AttributeError):
        return


class Collector:
    """Looks every few minutes, and when a pull has found the disk full."""

    def __init__(self, cluster: Cluster, images: Images, recorder: Recorder, node: str) -> None:
        self._cluster, self._images, self._recorder, self._node = cluster, images, recorder, node
        self._hurry = trio.Event()

    def crowded(self) -> None:
        """The disk was found full."""
        self._hurry.set()

    async def run(self) -> None:
        """Never returns."""
        while True:
            with trio.move_on_after(PERIOD):
                await self._hurry.wait()
            self._hurry = trio.Event()
            try:
                used = await uses(self._cluster)
                freed, full = await trio.to_thread.run_sync(collect, self._images, used, time.time())
            except (ImageError, ApiError, OSError) as error:
                await self._tell("ImageGCFailed", str(error))
                continue
            if freed.images:
                names = ", ".join(each.names[0] if each.names else each.digest for each in freed.images)
                log.info("removed images that nobody uses: %s (%.1f MB)", names, freed.size / 1e6)
            if full:
                await self._tell("FreeDiskSpaceFailed", _still_full(self._images))

    async def _tell(self, reason: str, text: str) -> None:
        log.warning("%s", text)
        node = await self._cluster.get(NodeObject, Key("", self._node))
        if node is not None:
            self._recorder.record(node, reason, text, warning=True)


def collect(images: Images, used: Uses, now: float) -> tuple[garbage.Freed, bool]:
    """One look: what nobody will miss, and above the high watermark image by image until it is at the low one. What
    went, and whether the disk is still fuller than the high one. ImageError, OSError."""
    found = garbage.held(images, used)
    garbage.note_use(images, found)
    goes = [each for each in found if each.goes and not each.used]
    freed = [garbage.take(images, goes, now, leftovers=garbage.STALE)]
    high, low = images.watermarks
    if fullness(images.root) <= high:
        return freed[0], False
    freed.append(garbage.take(images, (), now, leftovers=garbage.YOUNG))
    for each in garbage.expendable([each for each in found if each not in goes], now):
        if fullness(images.root) <= low:
            break
        freed.append(garbage.take(images, (each,), now))
    gone = tuple(image for part in freed for image in part.images)
    total = garbage.Freed(gone, sum(part.leftovers for part in freed), sum(part.size for part in freed))
    return total, fullness(images.root) > high


def fullness(path: str) -> int:
    """Percent of the disk that others than root cannot use any more, as the kubelet counts."""
    found = os.statvfs(path)
    return round(100 * (1 - found.f_bavail / found.f_blocks)) if found.f_blocks else 0


def _still_full(images: Images) -> str:
    return (
        f"the disk of {images.root} is {fullness(images.root)}% full, and no image can go "
        f"that could be had again (orch image df -v, orch image prune --all, or make room elsewhere)"
    )
