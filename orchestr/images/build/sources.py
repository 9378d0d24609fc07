"""Where COPY, ADD and RUN --mount=type=bind take files from."""

import os
from typing import TYPE_CHECKING, Any

from orchestr.images.build.bases import state_of
from orchestr.images.build.dockerfile import Instruction
from orchestr.images.build.stages import Stage
from orchestr.images.seam import ImageError

if TYPE_CHECKING:
    from orchestr.images.build.builder import Build


async def source(build: "Build", stage: Stage, step: Instruction, from_: str) -> dict[str, Any]:
    """A stage, an image, or the context, as the worker takes it."""
    if not from_:
        return {"path": build.context}
    if from_ == "scratch":
        step.fail("from scratch: there is nothing in it")
    index = (stage.sources or {}).get(from_)
    try:
        state = build.states[index] if index is not None else await state_of(build, from_)
    except ImageError as error:
        step.fail(f"from {from_}: {error}")
    return {"lower": list(state.lower)} if state.layers else {"path": build.scratch()}


def relative(path: str) -> str:
    return os.path.normpath(f"/{path}").strip("/")


def inside(root: str, path: str, step: Instruction) -> str:
    """A path below `root`, which nobody changes, with its links followed. BuildError when it leads outside."""
    real, top = os.path.realpath(os.path.join(root, path)), os.path.realpath(root)
    if not f"{real}/".startswith(f"{top}/"):
        step.fail(f"{path} is a link that leads outside the context")
    return real
