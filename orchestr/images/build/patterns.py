"""Patterns of .dockerignore and --exclude: Go's filepath.Match, `**`, and `!` for exceptions; the last match counts."""

import re
from collections.abc import Iterable
from functools import lru_cache


class Patterns:
    def __init__(self, lines: Iterable[str]) -> None:
        """Raises ValueError for a pattern that is none."""
        self._rules: list[tuple[bool, re.Pattern[str]]] = []
        for line in lines:
            text = line.strip()
            keep = text.startswith("!")
            text = "/".join(part for part in text.removeprefix("!").strip().split("/") if part not in ("", "."))
            if text:
                self._rules.append((keep, compile_(text, below=True)))
        self.exceptions = any(keep for keep, _ in self._rules)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def match(self, path: str) -> bool:
        """Is it left out? A rule for a directory is one for all below it."""
        out = False
        for keep, rule in self._rules:
            if out == keep and rule.fullmatch(path):
                out = not keep
        return out


def read(text: str) -> Patterns:
    """A .dockerignore: a pattern a line, # begins a comment. Raises ValueError."""
    return Patterns(line for line in text.removeprefix("\ufeff").splitlines() if not line.startswith("#"))


@lru_cache(maxsize=256)
def compile_(pattern: str, *, below: bool = False) -> re.Pattern[str]:
    """Matches whole paths without leading slash; with `below`, all that is in them too. Raises ValueError."""
    out, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**/", at):
            out, at = out + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            out, at = out + ".*", at + 2
        elif char == "*":
            out, at = out + "[^/]*", at + 1
        elif char == "?":
            out, at = out + "[^/]", at + 1
        elif char == "[":
            found, at = _class(pattern, at)
            out += found
        else:
            if char == "\\":
                at += 1
                if at == len(pattern):
                    raise ValueError(f"pattern {pattern} ends in a backslash")
            out, at = out + re.escape(pattern[at]), at + 1
    return re.compile(out + ("(?:/.*)?" if below else ""), re.DOTALL)


def _class(pattern: str, at: int) -> tuple[str, int]:
    """[a-z] or [^a-z], from its bracket on."""
    end = pattern.find("]", at + 2)
    if end < 0:
        raise ValueError(f"pattern {pattern} has a [ that is not closed")
    inner = pattern[at + 1 : end]
    not_, inner = ("^", inner[1:]) if inner[0] in "^!" else ("", inner)
    try:
        re.compile(f"[{inner}]")
    except re.error as error:
        raise ValueError(f"pattern {pattern}: {error}") from error
    return f"[{not_}{inner}]" if not not_ else f"[^/{inner}]", end + 1


def magic(text: str) -> bool:
    return any(char in text for char in "*?[\\")
