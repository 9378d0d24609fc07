"""`$NAME` and `${NAME}` in all forms, nested: `:-` `-` (default), `:?` `?` (required), `:+` `+` (alternative), `$$`.

Source: compose-spec "Interpolation". With the colon an empty value counts as unset.
"""

import re
from collections.abc import Callable, Mapping

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OPERATOR = re.compile(r":?[-?+]")
HOW = "write $$ for a dollar sign"
DEPTH = 20


class InterpolationError(ValueError):
    """The text has a broken reference, or a required variable is not set."""


def substitute(text: str, variables: Mapping[str, str], unset: Callable[[str], None]) -> str:
    """The text with its variables filled in; `unset` hears of each one that is neither set nor has a default."""
    if "$" not in text:
        return text
    out, end = _fill(text, 0, variables, unset, depth=0)
    return out if end == len(text) else out + text[end:]


def _fill(
    text: str, at: int, variables: Mapping[str, str], unset: Callable[[str], None], *, depth: int
) -> tuple[str, int]:
    """The filled text up to the end, or inside braces (depth > 0) up to the closing one; and where that is."""
    if depth > DEPTH:
        raise InterpolationError(f"variables are nested more than {DEPTH} deep (write fewer defaults into each other)")
    out: list[str] = []
    while at < len(text) and not (depth and text[at] == "}"):
        if text[at] != "$":
            stop = _next(text, at, depth)
            out.append(text[at:stop])
            at = stop
        elif text.startswith("$$", at):
            out.append("$")
            at += 2
        elif text.startswith("${", at):
            value, at = _braced(text, at + 2, variables, unset, depth)
            out.append(value)
        elif found := NAME.match(text, at + 1):
            out.append(_value(found[0], variables, unset))
            at = found.end()
        else:
            out.append("$")  # `$2a`, `$(date)`: as Compose, left alone
            at += 1
    return "".join(out), at


def _next(text: str, at: int, depth: int) -> int:
    ends = [end for mark in ("$", "}" if depth else "$") if (end := text.find(mark, at)) >= 0]
    return min(ends, default=len(text))


def _braced(
    text: str, at: int, variables: Mapping[str, str], unset: Callable[[str], None], depth: int
) -> tuple[str, int]:
    found = NAME.match(text, at)
    if found is None:
        raise InterpolationError(f"'${{{text[at : at + 10]}' does not begin with a variable's name ({HOW})")
    name, at = found[0], found.end()
    operator = OPERATOR.match(text, at)
    if operator is None:
        if not text.startswith("}", at):
            raise InterpolationError(f"'${{{name}' is not closed as expected ({HOW}, or close it with a brace)")
        return _value(name, variables, unset), at + 1
    value = variables.get(name)
    there = bool(value) if operator[0].startswith(":") else value is not None
    used = there if operator[0][-1] == "+" else not there  # whether the word after the operator is what counts
    word, end = _fill(text, operator.end(), variables, unset if used else _ignore, depth=depth + 1)
    if not text.startswith("}", end):
        raise InterpolationError(f"'${{{name}' is never closed (add a brace, or {HOW})")
    if operator[0][-1] == "?" and not there:
        raise InterpolationError(f"required variable {name} is not set{f': {word}' if word else ''}")
    if operator[0][-1] == "+":
        return (word if there else ""), end + 1
    return (word if used else value or ""), end + 1


def _value(name: str, variables: Mapping[str, str], unset: Callable[[str], None]) -> str:
    value = variables.get(name)
    if value is None:
        unset(name)
    return value or ""


def _ignore(name: str) -> None:
    """A default that is not used may name what it likes."""
