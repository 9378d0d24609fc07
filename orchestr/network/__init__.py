"""The network's room. Of pyroute2 only its messages are wanted: the package itself imports all that it has.

That would be 7 MB and a tenth of a second for the daemon. So a package that is empty until somebody asks it for a name
stands in its place; it has the same modules.
"""

import importlib
import sys
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

PYROUTE2 = "pyroute2"


class _Spare(ModuleType):
    """A package whose `__init__` has not run."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(PYROUTE2) is self:
            if PathFinder.find_spec(f"{PYROUTE2}.{name}", list(self.__path__)) is not None:
                return importlib.import_module(f"{PYROUTE2}.{name}")
            del sys.modules[PYROUTE2]
        return getattr(importlib.import_module(PYROUTE2), name)


def _spare() -> None:
    spec = PathFinder.find_spec(PYROUTE2)
    if spec is None or spec.submodule_search_locations is None:
        return  # whoever imports it will say so
    package = _Spare(PYROUTE2)
    package.__spec__, package.__path__ = spec, list(spec.submodule_search_locations)
    sys.modules[PYROUTE2] = package


if PYROUTE2 not in sys.modules:
    _spare()
