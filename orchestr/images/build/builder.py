"""Carries a Dockerfile out: the stages that are needed, each as soon as those are done that it waits for.

What it makes lies in a directory of the build's own until the end, and goes into the store synced and whole, with its
cache entries after it; so a daemon that is killed leaves only a directory that leftovers.py removes at the next start.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import trio

from orchestr.images.build import config, dockerfile
from orchestr.images.build.bases import base
from orchestr.images.build.cache import Cache, Made
from orchestr.images.build.dockerfile import Instruction
from orchestr.images.build.leftovers import work
from orchestr.images.build.platforms import platform_args
from orchestr.images.build.seam import Puller, Runner, Told
from orchestr.images.build.stages import Plan, Stage, plan
from orchestr.images.build.state import Layer, Request, State
from orchestr.images.build.steps import STEPS
from orchestr.images.build.workers import Workers
from orchestr.images.manifest import LAYER
from orchestr.images.reference import parse
from orchestr.images.seam import Image, ImageError
from orchestr.images.store import Images


class Builder:
    """Of one daemon. `volatile` gives a directory on a tmpfs, for secrets."""

    def __init__(
        self, images: Images, runner: Runner, pull: Puller, volatile: Callable[[], str], clock: Callable[[], datetime]
    ) -> None:
        self.images, self.runner, self.pull, self.volatile, self.clock = images, runner, pull, volatile, clock
        self.folder = os.path.join(images.root, "build")
        self.cache = Cache(images.root)
        self.locks: dict[str, trio.Lock] = {}  # of cache mounts
        os.makedirs(work(images.root), mode=0o700, exist_ok=True)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[str]:
        """A directory for one build, gone afterwards."""
        place = await trio.to_thread.run_sync(partial(tempfile.mkdtemp, dir=work(self.images.root)))
        try:
            yield place
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(partial(shutil.rmtree, place, ignore_errors=True))

    async def build(self, request: Request, place: str, context: str, told: Told, archive: str = "") -> Image:
        """`context`: a directory of the build's own, `archive` what is to be unpacked there. BuildError, ImageError."""
        with self.images.at_work():
            build = Build(self, request, place, context, told)
            try:
                if archive:
                    await build.workers.do("extract", archive=archive, target=context)
                    await trio.to_thread.run_sync(os.unlink, archive)
                return await build.run()
            except OSError as error:
                raise ImageError(f"cannot build: {error.strerror or error} (is there room on the disk?)") from error
            finally:
                await build.workers.end()


class Build:
    """One build under way."""

    def __init__(self, builder: Builder, request: Request, place: str, context: str, told: Told) -> None:
        self.builder, self.request, self.place, self.context, self.told = builder, request, place, context, told
        self.workers = Workers()
        self.states: dict[int, State] = {}
        self._done: dict[int, trio.Event] = {}
        self._fresh: dict[str, Made] = {}  # cache entries to be
        self._steps: dict[str, str] = {}  # layer -> the directory that it was made in
        self._numbers = 0
        self.pulling = trio.Lock()
        self.used: set[str] = set()  # build arguments that an ARG named

    async def run(self) -> Image:
        request = self.request
        for tag in request.tags:
            if (wanted := parse(tag)).digest or wanted.name == "local/host":
                raise ImageError(f"cannot name the image {tag}: give a NAME[:TAG] of your own")
        text = dockerfile.parse(request.dockerfile, request.file)
        for warning in text.warnings:
            self.told({"warning": warning})
        made = plan(text.instructions, request.args, platform_args(request.platform), request.target)
        self.used |= {n for each in text.instructions if each.name == "ARG" for n in _named(each)}
        self._done = {index: trio.Event() for index in made.needed}
        try:
            await self._stages(made)
        except BaseException:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._keep)  # what is good serves the next try
            raise
        self._unused()
        return await trio.to_thread.run_sync(self._finish, self.states[made.target])

    def _unused(self) -> None:
        left = sorted(set(self.request.args) - self.used - set(config.PREDEFINED) - {"SOURCE_DATE_EPOCH"})
        if left:
            self.told({"warning": f"no ARG names the build argument{'s' * (len(left) > 1)} {', '.join(left)}"})

    async def _stages(self, made: Plan) -> None:
        try:
            async with trio.open_nursery() as nursery:
                for stage in made.stages:
                    if stage.index in made.needed:
                        nursery.start_soon(self._stage, made, stage)
        except* ImageError as group:
            raise _first(group) from None

    async def _stage(self, made: Plan, stage: Stage) -> None:
        for index in sorted(stage.waits):
            await self._done[index].wait()
        state = self.states[stage.above] if stage.above is not None else await base(self, stage)
        state = state.but(args={}, cmd=False)
        triggers = tuple(dockerfile.one(text, stage.origin) for text in state.config.get("OnBuild") or ())
        state = state.but(config={key: value for key, value in state.config.items() if key != "OnBuild"})
        steps = (*triggers, *stage.steps)
        for number, step in enumerate(steps, 1):
            name = {"stage": str(stage), "number": number, "of": len(steps), "step": str(step)}
            state = await STEPS[step.name](self, made, stage, state, step, name)
        self.states[stage.index] = state
        self._done[stage.index].set()

    # -- layers

    def scratch(self) -> str:
        """A new directory of this build."""
        self._numbers += 1
        os.mkdir(path := os.path.join(self.place, str(self._numbers)))
        return path

    def cached(self, key: str) -> Made | None:
        """From this build or one before, if the layer is still here."""
        made = self._fresh.get(key) or (None if self.request.no_cache else self.builder.cache.get(key))
        if made is None or not made.digest or key in self._fresh:
            return made
        images = self.builder.images
        there = images.blobs.claim(made.digest) and images.layers.claim(made.digest)
        return made if there else None

    def layer(self, made: Made, step: str) -> Layer:
        """Of what was made in `step`, or is in the store when that is ""."""
        descriptor = {"mediaType": LAYER, "digest": made.digest, "size": made.size}
        if not step:
            step = self._steps.get(made.digest, "")
        if not step:
            return Layer(descriptor, made.digest, self.builder.images.layers.path(made.digest))
        self._steps.setdefault(made.digest, step)
        return Layer(descriptor, made.digest, f"{step}/upper", f"{step}/layer.tar")

    def keep(self, key: str, answer: dict[str, Any], step: str) -> Made:
        """A worker's answer as a cache entry, which is written at the end."""
        made = Made(answer.get("digest", ""), answer.get("size", 0), self.now())
        self._fresh[key] = made
        if made.digest:
            self._steps.setdefault(made.digest, step)
        return made

    async def copied(
        self,
        parts: Sequence[dict[str, Any]],
        step: str,
        at: Instruction | None = None,
        *,
        target: str,
        lower: Sequence[str] = (),
        binds: Sequence[str] = (),
        chown: str = "",
        chmod: str = "",
        exclude: Sequence[str] = (),
        parents: bool = False,
    ) -> dict[str, Any]:
        """The worker's answer to what becomes the layer in `step`."""
        return await self.workers.do(
            "copy", at, parts=parts, target=target, lower=lower, binds=binds, chown=chown, chmod=chmod,
            exclude=exclude, parents=parents, **self.made_in(step),
        )  # fmt: skip

    def made_in(self, step: str) -> dict[str, Any]:
        """Where a worker makes a layer."""
        return {
            "step": step,
            "layer": f"{step}/layer.tar",
            "scratch": self.scratch(),
            "epoch": self.request.epoch,
        }

    def now(self) -> str:
        epoch = self.request.epoch
        moment = self.builder.clock() if epoch is None else datetime.fromtimestamp(epoch, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    # -- the end

    def _keep(self) -> None:
        """Layers go into the store, and then what leads to them."""
        self.builder.images.take((f"{step}/upper", f"{step}/layer.tar", name) for name, step in self._steps.items())
        for key, made in self._fresh.items():
            self.builder.cache.put(key, made)

    def _finish(self, state: State) -> Image:
        self._keep()
        labels = {**(state.config.get("Labels") or {}), **self.request.labels}
        document = {
            **state.machine,
            "created": state.created or self.now(),
            "config": {**state.config, **({"Labels": labels} if labels else {})},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in state.layers]},
            "history": list(state.history),
        }
        layers = [dict(layer.descriptor) for layer in state.layers]
        return self.builder.images.add_built(self.request.tags, document, layers)


def _named(step: Instruction) -> Sequence[str]:
    return [word.partition("=")[0] for word in step.text.split()]


def _first(group: BaseExceptionGroup[ImageError]) -> ImageError:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            return _first(error)
        return error
    raise AssertionError("a group is never empty")
