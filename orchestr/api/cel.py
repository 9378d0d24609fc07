"""The Common Expression Language for validation rules, and patterns in its regular expressions (RE2's syntax).

The library evaluates; what Kubernetes adds to the language as functions of strings and lists is here. A rule that calls
anything else is refused when its definition is created, not when it first runs.
Source: staging/src/k8s.io/apiserver/pkg/cel/library of Kubernetes.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

STANDARD = frozenset(
    {
        *(
            "size",
            "has",
            "all",
            "exists",
            "exists_one",
            "map",
            "filter",
            "contains",
            "startsWith",
            "endsWith",
            "matches",
        ),
        *("matches", "int", "uint", "double", "string", "bytes", "bool", "type", "dyn", "duration", "timestamp"),
        *("getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    }
)
# operators, as the library names them when it lists a program's functions
OPERATOR = re.compile(r"[^A-Za-z]|_.*|@.*")


class CelError(Exception):
    """An expression that cannot be compiled, or that fails when it is evaluated."""


@lru_cache(maxsize=2048)
def compiled(source: str) -> Any:
    """Raises CelError for an expression that is malformed or calls what is not here."""
    import cel

    try:
        program = cel.compile(source)
        called = set(program.functions())
    except Exception as error:
        raise CelError(str(error).splitlines()[0]) from error
    unknown = sorted(name for name in called - STANDARD - FUNCTIONS.keys() if not OPERATOR.fullmatch(name))
    if unknown:
        raise CelError(f"function {unknown[0]} is not supported (there are {', '.join(sorted(FUNCTIONS))})")
    return program


def evaluate(source: str, variables: Mapping[str, Any]) -> Any:
    """Raises CelError."""
    import cel

    program = compiled(source)
    context = cel.Context(variables=dict(variables), functions=dict(FUNCTIONS))
    try:
        return program.execute(context)
    except Exception as error:
        raise CelError(str(error).splitlines()[0] if str(error) else type(error).__name__) from error


@lru_cache(maxsize=4096)
def matches(text: str, pattern: str) -> bool:
    """Whether the pattern is found in the text; its time is linear in the text. Raises CelError for a bad pattern."""
    return bool(evaluate("text.matches(pattern)", {"text": text, "pattern": pattern}))


def _split(text: str, separator: str, most: int = -1) -> list[str]:
    if most == 0:
        return []
    if not separator:
        return list(text)
    return text.split(separator) if most < 0 else text.split(separator, most - 1)


def _sorted(items: list[Any]) -> bool:
    return all(a <= b for a, b in pairwise(items))


def _replace(text: str, old: str, new: str, most: int = -1) -> str:
    return text.replace(old, new, most)


def _substring(text: str, start: int, end: int | None = None) -> str:
    if not 0 <= start <= (len(text) if end is None else end) <= len(text):
        raise ValueError(f"substring {start}, {end} is out of range")
    return text[start:end]


def _last(items: Any, item: Any) -> int:
    if isinstance(items, str):
        return items.rfind(item)
    return len(items) - 1 - items[::-1].index(item) if item in items else -1


def _first(items: Any, item: Any) -> int:
    if isinstance(items, str):
        return items.find(item)
    return items.index(item) if item in items else -1


def _url(text: str) -> bool:
    from urllib.parse import urlsplit

    parts = urlsplit(text)
    return bool(parts.scheme and parts.netloc) or text.startswith("/")


def _ip(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _cidr(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return "/" in text


def _quantity(text: str) -> bool:
    from orchestr.api.quantity import QuantityError, parse

    try:
        parse(text)
    except QuantityError:
        return False
    return True


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "charAt": lambda text, index: text[index : index + 1],
    "indexOf": _first,
    "isCIDR": _cidr,
    "isIP": _ip,
    "isQuantity": _quantity,
    "isSorted": _sorted,
    "isURL": _url,
    "join": lambda items, separator="": separator.join(items),
    "lastIndexOf": _last,
    "lowerAscii": lambda text: text.lower(),
    "max": lambda items: max(items),
    "min": lambda items: min(items),
    "replace": _replace,
    "split": _split,
    "substring": _substring,
    "sum": lambda items: sum(items),
    "trim": lambda text: text.strip(),
    "upperAscii": lambda text: text.upper(),
}
