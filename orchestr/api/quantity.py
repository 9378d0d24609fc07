"""Quantities as Kubernetes writes them: `100m`, `1.5`, `1Gi`, `12e6`.

Source: apimachinery pkg/api/resource. A quantity stays the text that the user wrote; `parse` gives its exact value.
"""

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator

BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
DECIMAL = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal("1e3"),
    "M": Decimal("1e6"),
    "G": Decimal("1e9"),
    "T": Decimal("1e12"),
    "P": Decimal("1e15"),
    "E": Decimal("1e18"),
}
SUFFIXES: dict[str, Decimal] = {**DECIMAL, **{suffix: Decimal(factor) for suffix, factor in BINARY.items()}}
NUMBER = r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})"
SYNTAX = re.compile(rf"({NUMBER})([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{{1,2}})?")
HOW = "write it as 100m, 0.5, 64Mi or 1G"


class QuantityError(ValueError):
    """The text is no quantity."""


@lru_cache(4096)
def parse(text: str) -> Decimal:
    """The exact value: `parse("100m") == Decimal("0.1")`, `parse("1Gi") == 2**30`. Raises QuantityError."""
    found = SYNTAX.fullmatch(text)
    if found is None:
        raise QuantityError(f"cannot read quantity {text!r}: not a number with a suffix ({HOW})")
    number, suffix = found[1], found[2] or ""
    if suffix in SUFFIXES:
        return Decimal(number) * SUFFIXES[suffix]
    return Decimal(number).scaleb(int(suffix[1:]))


def milli(text: str) -> int:
    """Thousandths, rounded up: of a CPU quantity the millicores."""
    return _ceil(parse(text) * 1000)


def whole(text: str) -> int:
    """The value rounded up to an integer: of a memory quantity the bytes."""
    return _ceil(parse(text))


def _ceil(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_CEILING))


def binary(value: int) -> str:
    """Bytes as the largest binary suffix that divides them: 2**30 -> `1Gi`, 1000 -> `1000`."""
    for suffix, factor in reversed(BINARY.items()):
        if value and value % factor == 0:
            return f"{value // factor}{suffix}"
    return str(value)


def decimal(value: Decimal | int) -> str:
    """A count or a share of CPUs: 2 -> `2`, 0.1 -> `100m`; smaller than a thousandth is rounded up."""
    value = Decimal(value)
    return str(int(value)) if value == value.to_integral_value() else f"{_ceil(value * 1000)}m"


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        raise QuantityError(f"cannot read quantity {value}: it is a boolean ({HOW})")
    text = format(Decimal(str(value)), "f") if isinstance(value, int | float) else value
    if isinstance(text, str):
        parse(text)
    return text


Quantity = Annotated[str, BeforeValidator(_text)]  # a number on the wire becomes its text
