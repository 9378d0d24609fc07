"""All that a command imports in one file beside the .pyc files: finding 70 modules one by one is a seventh of a launch.

`__pycache__/NAME.cpython-311.pack` is made when command NAME has ended for the first time, and anew when one of the
sources has changed: as with .pyc files, that is told by its time and size. Who may not write there goes on without.
"""

import builtins
import marshal
import os
import sys
from _collections_abc import Callable, Sequence
from _frozen_importlib_external import MAGIC_NUMBER

from orchestr.runtime.oci.partial import Module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

    Entry = tuple[str, bool, str, int, int, CodeType]  # name, is it a package, source, its mtime in ns and size, code
    Import = Callable[..., Any]

COMMANDS = frozenset(("create", "delete", "exec", "kill", "run", "start", "state"))  # those that engines wait for
_OURS = "orchestr."


def path(command: str) -> str:
    folder = os.path.dirname(__file__)
    return f"{folder}/__pycache__/{command}.{sys.implementation.cache_tag}.pack"


def use(command: str) -> bool:
    """From now on `import` takes our modules from the pack. False when there is none that can be used."""
    try:
        with open(path(command), "rb") as file:
            data = file.read()
        if not data.startswith(MAGIC_NUMBER):
            return False
        entries: list[Entry] = marshal.loads(memoryview(data)[len(MAGIC_NUMBER) :])
        for _, _, source, changed, size, _ in entries:
            now = os.stat(source)
            if now.st_mtime_ns != changed or now.st_size != size:
                return False
    except (OSError, EOFError, ValueError, TypeError):
        return False
    builtins.__import__ = _importing({entry[0]: entry for entry in entries}, builtins.__import__)
    return True


def _importing(packed: "dict[str, Entry]", whole: "Import") -> "Import":
    """`__import__` that knows `packed`; everything else, and what is imported already, is `whole`'s."""
    modules = sys.modules

    def load(name: str) -> None:
        parent, _, last = name.rpartition(".")
        if parent in packed:
            load(parent)
        _, package, source, _, _, code = packed.pop(name)
        module = modules[name] = Module(name)
        module.__file__ = source
        module.__package__ = name if package else parent
        if package:
            module.__path__ = [os.path.dirname(source)]
        try:
            exec(code, module.__dict__)
        except BaseException:
            del modules[name]
            raise
        setattr(modules[parent], last, module)

    def importing(
        name: str, globals: object = None, locals: object = None, fromlist: Sequence[str] = (), level: int = 0
    ) -> "Any":
        if name.startswith(_OURS) and not level:
            if name in packed:
                load(name)
            for below in fromlist or ():
                if f"{name}.{below}" in packed:
                    load(f"{name}.{below}")
        return whole(name, globals, locals, fromlist, level)

    return importing


def keep(command: str) -> None:
    """Packs what this process has imported; called when all is done. Whole or not at all."""
    if sys.dont_write_bytecode:
        return
    new = f"{path(command)}.{os.getpid()}"
    try:
        data = MAGIC_NUMBER + marshal.dumps(list(filter(None, map(_entry, list(sys.modules)))))
        with open(new, "xb") as file:
            file.write(data)
        os.rename(new, path(command))
    except (OSError, ImportError, ValueError):
        if os.path.exists(new):
            os.unlink(new)


def _entry(name: str) -> "Entry | None":
    """None for what is not ours, and for what is imported before any pack can be used."""
    module: Any = sys.modules[name]
    if not name.startswith(_OURS) or name in _FIRST:
        return None
    status = os.stat(module.__file__)
    code = module.__loader__.get_code(name)
    return name, hasattr(module, "__path__"), module.__file__, status.st_mtime_ns, status.st_size, code


_FIRST = frozenset(sys.modules)
