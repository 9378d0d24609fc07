"""The few names of some modules of Python's own that a launch uses; whoever asks for more gets the whole module.

`collections`, `functools` and `types`, which `ctypes` and `contextlib` import for one name each, cost 2 ms together.
In place for the command alone, and not where a module is loaded already.
"""

import _collections  # type: ignore[import-not-found]
import _collections_abc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    Module = ModuleType
else:
    Module = type(sys)


class _Partial(Module):
    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        own = str(self.__name__)
        if sys.modules.get(own) is self:
            del sys.modules[own]
        self.__dict__.update(vars(__import__(own)))
        return self.__dict__[name]


def _wraps(wrapped: object) -> object:
    """functools', without the names that it copies: nobody reads them here."""
    return lambda wrapper: wrapper


class _Bound:
    def method(self) -> None: ...


_NAMES: dict[str, dict[str, object]] = {
    "collections": {"abc": _collections_abc, "deque": _collections.deque, "defaultdict": _collections.defaultdict},
    "functools": {"wraps": _wraps},
    "types": {"ModuleType": Module, "GenericAlias": type(list[int]), "MethodType": type(_Bound().method)},
}


def install() -> None:
    for name, names in _NAMES.items():
        if name not in sys.modules:
            made = _Partial(name)
            made.__dict__.update(names)
            sys.modules[name] = made
    sys.modules.setdefault("collections.abc", _collections_abc)
