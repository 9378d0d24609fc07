"""orch-oci stands in for modules whose import would cost it milliseconds; who asks for more gets the module itself."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[2]
START = """
import sys
sys.path.append({place!r})
from orchestr.runtime.oci import partial
partial.install()
from orchestr.runtime.oci import forms
forms.install()
"""


def said(script: str) -> str:
    """What a bare Python, as orch-oci starts it, prints."""
    command = [sys.executable, "-ISc", START.format(place=str(HERE)) + script]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_run_imports_no_module_that_another_stands_in_for() -> None:
    heavy = ["json", "re", "enum", "inspect", "socket", "zlib", "math", "resource"]
    script = f"import orchestr.runtime.oci.run\nprint([n for n in {heavy} if n in sys.modules])"
    assert said(script) == "[]"
    for name, asked in (("collections", "namedtuple"), ("functools", "cache"), ("types", "SimpleNamespace")):
        assert said(f"import orchestr.runtime.oci.run\nprint({asked!r} in vars(sys.modules[{name!r}]))") == "False"


def test_asked_for_more_the_module_is_there_in_full() -> None:
    script = """
from collections import deque, namedtuple
import collections, functools, types
print(namedtuple("P", "x")(1).x, collections.Counter("aa")["a"], functools.reduce(int.__add__, [1, 2]))
print(types.SimpleNamespace(a=4).a, sys.modules["collections"] is __import__("collections"), deque([5])[0])
"""
    assert said(script).split() == ["1", "2", "3", "4", "True", "5"]


def test_context_managers_are_as_ever() -> None:
    script = """
from contextlib import ExitStack, contextmanager, suppress
@contextmanager
def within():
    print("in")
    yield
    print("out")
with ExitStack() as stack, suppress(KeyError):
    stack.enter_context(within())
    raise KeyError
"""
    assert said(script).split() == ["in", "out"]
