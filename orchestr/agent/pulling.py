"""The image of a container: here, or brought from its registry as imagePullPolicy says, as the kubelet does.

Two things are other than there. An image that was loaded or built here belongs to this machine: no registry is asked
for it, whatever the policy. And where the registry of an image with policy Always cannot be reached, the one that is
here is used, with a warning: a machine that is cut off goes on.
"""

from collections.abc import Mapping
from time import monotonic
from typing import Any

import trio

from orchestr.agent.node import log
from orchestr.agent.telling import write
from orchestr.agent.work import Work
from orchestr.api.base import Key
from orchestr.api.core import Container, Secret
from orchestr.api.errors import ApiError
from orchestr.images.registry.credentials import of_secret
from orchestr.images.seam import Image, ImageError, ImageNotFound, Registry
from orchestr.images.transfer import Transfer

FIRST, CAP = 10.0, 300.0  # seconds between two tries to pull; the kubelet's
SHOW = 2.0  # seconds between two looks at how far a pull has come


class PullFailure(ImageError):
    """`reason` as in a waiting state; no new try before `hold` seconds."""

    def __init__(self, text: str, reason: str, hold: float) -> None:
        super().__init__(text)
        self.reason, self.hold = reason, hold


async def ready(work: Work) -> None:
    """Every image of the pod is here. PullFailure, ImageError."""
    wanted = {c.image or "": c for c in (*work.pod.spec.init_containers, *work.pod.spec.containers)}
    for container in wanted.values():
        await image(work, container)


async def image(work: Work, container: Container, *, beside: bool = False) -> Image:
    """PullFailure, ImageError. `beside` the worker's steps, which alone write the status, nothing of it is shown."""
    images, reference = work.node.images, container.image or ""
    here, hint = None, ""
    try:
        here = images.resolve(reference)
    except ImageNotFound as missing:
        hint = f"; {missing.hint}" if missing.hint else ""
        if container.image_pull_policy == "Never" or images.local(reference):
            raise PullFailure(str(missing), "ErrImageNeverPull", FIRST) from missing
    except ImageError as error:
        raise PullFailure(str(error), "InvalidImageName", CAP) from error
    if here is not None and (container.image_pull_policy != "Always" or images.local(reference)):
        return here
    try:
        found = await _unless_deleted(work, work.node.registry, reference, shown=not beside)
    except ImageError as failure:
        if here is None or getattr(failure, "kind", "") != "unreachable":
            raise _failed(work, reference, failure, hint) from failure
        text = f"{failure}; the image that is here is used"
        work.node.recorder.record(work.pod, "PullFailed", text, warning=True)
        return here
    work.pulls.pop(reference, None)
    return found


def _failed(work: Work, reference: str, failure: ImageError, hint: str) -> PullFailure:
    """The kubelet's reasons: ErrImagePull the first time, then ImagePullBackOff; apart from both who cannot be
    reached, which passes by itself."""
    times = work.pulls[reference] = work.pulls.get(reference, 0) + 1
    hold = min(FIRST * 2.0 ** min(times - 1, 16), CAP)
    reason = "ErrImagePull" if times == 1 else "ImagePullBackOff"
    if getattr(failure, "kind", "") == "unreachable":
        reason = "RegistryUnavailable"
    return PullFailure(f"cannot pull {reference}: {failure}{hint}; next try in {hold:.0f} s", reason, hold)


async def _unless_deleted(work: Work, registry: Registry, reference: str, *, shown: bool) -> Image:
    """The pull ends with the pod that wants it; how far it has come is told. ImageError."""
    transfer, began = Transfer(), monotonic()
    work.node.recorder.record(work.pod, "Pulling", f"pulling image {reference}")
    found: Image | None = None
    failure = ImageError(f"cannot pull {reference}: its pod goes")
    async with trio.open_nursery() as nursery:
        if shown:
            nursery.start_soon(_show, work, reference, transfer, nursery.cancel_scope)
        try:
            found = await registry.pull(reference, logins(work), transfer.told)
        except ImageError as error:  # not through the nursery, which would wrap it
            failure = error
        nursery.cancel_scope.cancel()
    if found is None:
        raise failure
    work.waiting = ("", "") if shown else work.waiting
    if transfer.total:
        text = f"pulled image {reference} in {monotonic() - began:.1f} s ({transfer.total / 1e6:.1f} MB)"
        work.node.recorder.record(work.pod, "Pulled", text)
    return found


async def _show(work: Work, reference: str, transfer: Transfer, pull: trio.CancelScope) -> None:
    while not (work.pod.metadata.deleting or work.halted):
        beat = work.pulse.beat
        work.waiting = ("ContainerCreating", f"pulling image {reference}" + (f": {transfer}" if transfer.total else ""))
        try:
            await write(work)
        except ApiError as error:
            log.debug("cannot write status of %s: %s (will try again)", work.pod.ref, error)
        with trio.move_on_after(SHOW):
            await work.pulse.after(beat)
    pull.cancel()


def logins(work: Work) -> list[Mapping[str, Any]]:
    """The pod's imagePullSecrets as documents like Docker's config.json; one that is not there does not count."""
    found: list[Mapping[str, Any]] = []
    for each in work.pod.spec.image_pull_secrets or ():
        key = Key(work.pod.metadata.namespace or "", str(each.get("name", "")))
        secret = work.node.informers.one(Secret, key)
        if secret is not None:
            found.append(of_secret(secret.type, secret.content()))
    return found
