"""Circles in who waits for whom. Not in graph.py, which imports the models: reading Compose files needs none."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

T = TypeVar("T")


def find_cycle(waits: Mapping[T, Iterable[T]]) -> tuple[T, ...] | None:
    """A cycle as the nodes along it, the first one again at the end; None when there is none."""
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        return tuple(reversed(error.args[1]))  # graphlib lists it from dependency to dependant
    return None


def path(nodes: Iterable[object]) -> str:
    """`a -> b -> a`."""
    return " -> ".join(str(item) for item in nodes)
