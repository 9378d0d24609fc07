"""A stage after a step: its layers and its history."""

from typing import TYPE_CHECKING

from orchestr.images.build.cache import Made
from orchestr.images.build.dockerfile import Instruction
from orchestr.images.build.state import State

if TYPE_CHECKING:
    from orchestr.images.build.builder import Build


def remembered(state: State, step: Instruction, created: str, *, empty: bool) -> State:
    """With a line of history."""
    line = {
        "created_by": str(step),
        **({"created": created} if created else {}),
        **({"empty_layer": True} if empty else {}),
    }
    return state.but(history=(*state.history, line), created=created or state.created)


def with_layer(build: "Build", state: State, step: Instruction, made: Made, place: str) -> State:
    if not made.digest:
        return remembered(state, step, made.created, empty=True)
    layers = (*state.layers, build.layer(made, place))
    return remembered(state.but(layers=layers), step, made.created, empty=False)


def chain(state: State) -> list[str]:
    """The files that a step finds, as the digests of the layers that hold them."""
    return [layer.diff_id for layer in state.layers]
