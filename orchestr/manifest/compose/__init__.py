"""The Compose format: files -> project -> Stack -> objects. See `load`, `project` and `compile`."""

from collections.abc import Mapping
from typing import Any

from orchestr.manifest.compose.compile import compile
from orchestr.manifest.compose.discover import discover
from orchestr.manifest.compose.project import Project, load, project

__all__ = ["Project", "compile", "discover", "is_compose", "load", "project"]


def is_compose(data: Any) -> bool:
    """Whether a document is a Compose file: it has services and no apiVersion."""
    return isinstance(data, Mapping) and "services" in data and "apiVersion" not in data
