"""The Common Expression Language, and patterns in its regular expressions (RE2's syntax).

The library evaluates; Kubernetes' dialect (celdialect.py) and functions (celfunctions.py) are ours. An expression that
calls anything else is refused when it is stored, not when it first runs.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

from orchestr.api.celdialect import NAMES as DIALECT
from orchestr.api.celdialect import called, extended, fields_of, free, nesting, written
from orchestr.api.celsyntax import Node, SyntaxFault, parse

STANDARD = frozenset(
    {
        *("size", "has", "all", "exists", "exists_one", "map", "filter", "contains", "startsWith", "endsWith"),
        *("matches", "int", "uint", "double", "string", "bytes", "bool", "type", "dyn", "duration", "timestamp"),
        *("getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
        *("orValue", "hasValue", "value", "or", "of", "none", "ofNonZeroValue"),
    }
)
AUTHORIZER = frozenset(
    {
        *("path", "group", "serviceAccount", "resource", "subresource", "namespace", "name"),
        *("check", "allowed", "reason", "errored", "error", "fieldSelector", "labelSelector"),
    }
)  # functions of the variable `authorizer`, where there is one
LENGTH = 64 * 1024  # characters of an expression
STEPS = 1_000_000  # that macros inside of macros may come to, by the longest list or map that there is
CALLED = re.compile(
    r"Function '(\w+)' error: (?:Python function call failed: )?(?:\w+: )?(.*?)\.? Check function arg.*"
)
UNKNOWN = re.compile(r"Undefined variable or function: '([^']*)'")

Functions = Mapping[str, Callable[..., Any]]


class CelError(Exception):
    """An expression that cannot be compiled, or that fails when it is evaluated."""


class Compiled(NamedTuple):
    program: Any
    loops: int  # inside of each other
    tree: Node


@cache
def _library() -> Any:
    """Imported late: few daemons ever need it. It logs what functions raise; that is told by the error."""
    import logging

    import cel

    logging.getLogger("cel").disabled = True
    return cel


@cache
def _functions() -> Functions:
    from orchestr.api.celfunctions import FUNCTIONS

    return FUNCTIONS


@lru_cache(maxsize=2048)
def compiled(source: str, more: frozenset[str] = frozenset()) -> Compiled:
    """Raises CelError for an expression that is malformed or calls what is not here; `more` are functions' names."""
    if len(source) > LENGTH:
        raise CelError(f"the expression has more than {LENGTH} characters")
    try:
        tree = parse(source)
        program = _library().compile(written(tree) if extended(tree) else source)
    except SyntaxFault as error:
        raise CelError(str(error)) from None
    except Exception as error:
        raise CelError(_told(error)) from error
    known = {name.rpartition(".")[2] for name in _functions()} | more | STANDARD
    unknown = sorted(called(tree) - known - DIALECT)
    if unknown:
        there = ", ".join(sorted(name for name in _functions() if not name.endswith("__")))
        raise CelError(f"function {unknown[0]} is not supported (there are {there})")
    return Compiled(program, nesting(tree), tree)


def undeclared(source: str, known: Collection[str], variables: Iterable[str], more: frozenset[str]) -> str:
    """What the expression refers to that is not there; "" for nothing. CelError for one that cannot be compiled."""
    tree = compiled(source, more).tree
    if missing := sorted(free(tree) - set(known)):
        return f"undeclared reference to '{missing[0]}'"
    if missing := sorted(fields_of(tree, "variables") - set(variables)):
        return f"undefined field '{missing[0]}'"
    return ""


def evaluate(source: str, variables: Mapping[str, Any], more: Functions | None = None) -> Any:
    """Raises CelError. `more`: functions besides those that are always there."""
    found = compiled(source, frozenset(more or ()))
    if found.loops > 1 and longest(variables) ** found.loops > STEPS:
        raise CelError("operation cancelled: actual cost limit exceeded")
    context = _library().Context(variables=dict(variables), functions={**_functions(), **(more or {})})
    try:
        return found.program.execute(context)
    except Exception as error:
        raise CelError(_told(error)) from error


def longest(value: Any) -> int:
    """The length of the longest list or map in a value."""
    if isinstance(value, Mapping):
        return max(len(value), max(map(longest, value.values()), default=0))
    if isinstance(value, list | tuple):
        return max(len(value), max(map(longest, value), default=0))
    return 0


def _told(error: Exception) -> str:
    """What went wrong, in the words that users of Kubernetes know."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, KeyError):
        return f"no such key: {error.args[0]}"
    if text.startswith("No such overload"):
        return "no such overload"
    if found := UNKNOWN.match(text):
        return f"undeclared reference to '{found[1]}'"
    if found := CALLED.match(text):
        return f"{found[1]}: {found[2]}"
    return text


@lru_cache(maxsize=4096)
def matches(text: str, pattern: str) -> bool:
    """Whether the pattern is found in the text; its time is linear in the text. Raises CelError for a bad pattern."""
    return bool(evaluate("text.matches(pattern)", {"text": text, "pattern": pattern}))
