"""Tells the keys of a merged project that Compose knows and orch does not do, each where it stands."""

from functools import cache
from typing import Any

from orchestr.manifest.compose.support import TABLE, Level, Support
from orchestr.manifest.compose.tree import Findings, Node, Path

Branches = dict[str, Any]  # key -> Branches or Support


@cache
def _branches() -> Branches:
    """The table as a tree that has only what is refused."""
    found: Branches = {}
    for path, said in TABLE.items():
        if said.level is Level.NOT_YET:
            *above, last = path.split(".")
            here = found
            for part in above:
                here = here.setdefault(part, {})
            here[last] = said
    return found


def refuse(root: Node, findings: Findings) -> None:
    _walk(root, (), _branches(), findings)


def _walk(node: Node, path: Path, branches: Branches, findings: Findings) -> None:
    if isinstance(node.data, list):
        for index, child in enumerate(node.data):
            _walk(child, (*path, index), branches, findings)
        return
    for key, child in node.items():
        below = branches.get(key, branches.get("*"))
        if isinstance(below, Support):
            if child.data not in (None, [], {}, "", False):
                shown = [str(part) for part in (*path, key) if part != "services" and not isinstance(part, int)]
                findings.refuse(child.key, (*path, key), ".".join(_without_name(path, shown)), below.note)
        elif below is not None:
            _walk(child, (*path, key), below, findings)


def _without_name(path: Path, shown: list[str]) -> list[str]:
    """`web.build` -> `build`, `networks.back.ipam` -> `networks.ipam`: the key, not whose it is."""
    if path[:1] == ("services",):
        return [part for index, part in enumerate(shown[1:]) if not (index == 1 and shown[1] == "networks")]
    return [part for index, part in enumerate(shown) if index != 1]
