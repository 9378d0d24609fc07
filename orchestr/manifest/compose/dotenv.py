"""Env files (`.env`, `env_file`): NAME=value lines with quotes, escapes, comments, `export` and interpolation.

As compose-go's dotenv reads them: single quotes are literal; in double quotes escapes and variables count; without
quotes variables count and ` #` begins a comment; quoted values may span lines. A NAME alone takes the caller's value.
"""

import re
from collections import ChainMap
from collections.abc import Callable, Mapping

from orchestr.manifest.compose.interpolate import InterpolationError, substitute

KEY = re.compile(r"\s*(?:export\s+)?([A-Za-z_][\w.\-\[\]]*)[ \t]*(?:([=:])[ \t]*)?")
SKIP = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)+|[ \t]*(?:#[^\n]*)?\Z")
ESCAPE = re.compile(r"\\(.)", re.DOTALL)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v", '"': '"', "\\": "\\", "$": "$$"}


class EnvFileError(ValueError):
    """A line that cannot be read; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def parse(
    text: str,
    outer: Mapping[str, str],
    unset: Callable[[str, int], None] = lambda name, line: None,
    *,
    raw: bool = False,
    lines: dict[str, int] | None = None,
) -> dict[str, str]:
    """The variables of the file. `outer` is the caller's environment, which wins in interpolation.

    `unset(name, line)` hears of variables without a value. With `raw` nothing is unquoted or filled in. `lines` takes
    the line of each variable.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    found: dict[str, str] = {}
    scope: Mapping[str, str] = ChainMap(outer, found)  # type: ignore[arg-type]  # read only
    at = 0
    while True:
        skipped = SKIP.match(text, at)
        at = skipped.end() if skipped else at
        if at >= len(text):
            return found
        line = text.count("\n", 0, at) + 1
        head = KEY.match(text, at)
        if head is None or (head[2] is None and not _ends(text, head.end())):
            raise EnvFileError(line, f"cannot read {text[at:].splitlines()[0][:40]!r} (write NAME=value)")
        if lines is not None:
            lines[head[1]] = line
        if head[2] is None:
            if head[1] in outer:
                found[head[1]] = outer[head[1]]
            at = head.end()
            continue
        try:
            value, at = _value(text, head.end(), scope, lambda name, line=line: unset(name, line), raw)  # type: ignore[misc]
        except InterpolationError as error:
            raise EnvFileError(line, f"cannot fill in {head[1]}: {error}") from error
        except ValueError as error:
            raise EnvFileError(line, f"cannot read {head[1]}: {error}") from error
        found[head[1]] = value


def _ends(text: str, at: int) -> bool:
    return at >= len(text) or text[at] in "\n#"


def _value(text: str, at: int, scope: Mapping[str, str], unset: Callable[[str], None], raw: bool) -> tuple[str, int]:
    quote = text[at : at + 1]
    if raw or quote not in ('"', "'"):
        stop = text.find("\n", at)
        line = text[at : len(text) if stop < 0 else stop]
        plain = line if raw else line.partition(" #")[0].strip()
        return (plain if raw else substitute(plain, scope, unset)), at + len(line)
    end = _closing(text, at + 1, quote)
    inner = text[at + 1 : end]
    rest = text[end + 1 :].split("\n", 1)[0]
    if rest.strip() and not rest.lstrip().startswith("#"):
        raise ValueError(f"text after the closing quote: {rest.strip()[:20]!r} (remove it)")
    value = inner if quote == "'" else substitute(ESCAPE.sub(_unescape, inner), scope, unset)
    return value, end + 1 + len(rest)


def _closing(text: str, at: int, quote: str) -> int:
    while True:
        end = text.find(quote, at)
        if end < 0:
            raise ValueError(f"its quote {quote} is never closed (add one)")
        slashes = len(text[:end]) - len(text[:end].rstrip("\\"))
        if slashes % 2 == 0:
            return end
        at = end + 1


def _unescape(found: re.Match[str]) -> str:
    return ESCAPES.get(found[1], found[0])
