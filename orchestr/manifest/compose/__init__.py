"""The Compose format: files -> project -> Stack -> objects. See `load`, `project` and `compile`.

The names are imported when they are first used: the CLI takes a project's name from here without paying for the models.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestr.manifest.compose.assembly import Project, load, project, uninterpolated, written
    from orchestr.manifest.compose.compiler import compile
    from orchestr.manifest.compose.discovery import discover

__all__ = ["Project", "compile", "discover", "load", "project", "uninterpolated", "written"]

_HOMES = {
    "compile": "compiler",
    "discover": "discovery",
    "Project": "assembly",
    "load": "assembly",
    "project": "assembly",
    "uninterpolated": "assembly",
    "written": "assembly",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
