"""What a stage begins with: nothing, an image that is here or pulled, or this machine."""

from typing import TYPE_CHECKING, Any

from orchestr.arch import arch
from orchestr.images.build.cache import key
from orchestr.images.build.config import PATH
from orchestr.images.build.platforms import check
from orchestr.images.build.seam import BuildError
from orchestr.images.build.stages import SCRATCH, Stage
from orchestr.images.build.state import Layer, State
from orchestr.images.reference import parse
from orchestr.images.seam import Image, ImageError, ImageNotFound

if TYPE_CHECKING:
    from orchestr.images.build.builder import Build

OCI = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LAYERS = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": f"{OCI}+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": OCI,
}
OWN = {"os": "linux"}


async def base(build: "Build", stage: Stage) -> State:
    """BuildError with the place of its FROM."""
    at = stage.origin
    if stage.platform:
        try:
            check(stage.platform, "--platform")
        except BuildError as error:
            at.fail(str(error))
    if stage.base == SCRATCH:
        return State(config={"Env": [f"PATH={PATH}"]}, machine={"architecture": arch(), **OWN})
    try:
        return await state_of(build, stage.base)
    except ImageError as error:
        raise BuildError(f"{at.file}:{at.line}: {error}") from error


async def state_of(build: "Build", reference: str) -> State:
    """An image's. ImageError."""
    image = await _image(build, reference)
    if image.binds and not image.layers:
        return await _host(build, image)
    return _state(build, image)


async def _image(build: "Build", reference: str) -> Image:
    images = build.builder.images
    async with build.pulling:
        own = parse(reference).name.startswith("local/") or images.local(reference)
        if build.request.pull and not own:
            await build.builder.pull(reference)
        try:
            return images.resolve(reference)
        except ImageNotFound:
            if own:
                raise
        await build.builder.pull(reference)
        return images.resolve(reference)


def _state(build: "Build", image: Image) -> State:
    images, raw = build.builder.images, image.raw_config
    name = (image.names or (image.digest,))[0]
    own = {"architecture": arch(), **OWN}
    if any(raw.get(key, value) != value for key, value in own.items()):
        raise ImageError(f"cannot build on {name}: it is for {raw.get('os')}/{raw.get('architecture')}")
    ids = raw["rootfs"]["diff_ids"]
    if not all((*map(images.layers.claim, ids), *map(images.blobs.claim, image.layers))):
        raise ImageError(f"cannot build on {name}: it was removed meanwhile (build again)")
    layers = [
        Layer({**each, "mediaType": DOCKER_LAYERS.get(kind := str(each.get("mediaType", OCI)), kind)}, id, directory)
        for each, id, directory in zip(
            images.blobs.json(image.digest)["layers"], ids, reversed(image.lower), strict=True
        )
    ]
    kept = ("architecture", "os", "variant", "os.version", "os.features", "author")
    config: dict[str, Any] = dict(raw.get("config") or {})
    return State(
        tuple(layers),
        config,
        tuple(raw.get("history") or ()),
        image.created,
        {**own, **{key: raw[key] for key in kept if key in raw}},
        image.binds,
    )


async def _host(build: "Build", image: Image) -> State:
    """This machine: its skeleton as a layer, /usr stays the machine's own."""
    images = build.builder.images
    name = key({"do": "host", "image": image.digest, "epoch": build.request.epoch})
    made, step = build.cached(name), ""
    if made is None:
        step = build.scratch()
        everything = {"source": {"path": image.lower[0]}, "sources": ["."], "unpack": False}
        answer = await build.copied([everything], step, target="/")
        made = build.keep(name, answer, step)
    images.remember_host(made.digest)
    config = {"Env": list(image.config.env), "Cmd": list(image.config.cmd)}
    history = {"created": image.created, "created_by": "local/host: this machine"}
    machine = {"architecture": arch(), **OWN}
    return State((build.layer(made, step),), config, (history,), image.created, machine, image.binds)
