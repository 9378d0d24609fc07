"""Words of instructions: quotes, escapes and variables, as a shell would have them without running anything."""

import fnmatch
import re
from collections.abc import Callable, Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class BadWord(ValueError):
    """Why a word cannot be read."""


def expand(text: str, variables: Mapping[str, str], escape: str = "\\", *, quotes: bool = True) -> str:
    """The word with its variables filled in. `quotes` False leaves quotes alone: in here-documents. Raises BadWord."""
    return _Expander(text, variables, escape, quotes).whole()


class _Expander:
    def __init__(self, text: str, variables: Mapping[str, str], escape: str, quotes: bool) -> None:
        self._text, self._variables, self._escape, self._quotes = text, variables, escape, quotes
        self._at = 0

    def whole(self) -> str:
        return self._until("")

    def _until(self, end: str) -> str:
        """Up to an unquoted character of `end`, which is not taken."""
        out, text = "", self._text
        while self._at < len(text) and text[self._at] not in end:
            char = text[self._at]
            if self._quotes and char == "'":
                out += self._single()
            elif self._quotes and char == '"':
                out += self._double()
            elif char == "$":
                out += self._variable()
            elif char == self._escape and self._at + 1 < len(text):
                follows = text[self._at + 1]
                # Outside of quotes an escape takes the next character whole; a here-document keeps most of its own.
                out += follows if self._quotes or follows in ("$", self._escape) else char + follows
                self._at += 2
            else:
                out, self._at = out + char, self._at + 1
        return out

    def _single(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise BadWord("a quote ' is not closed")
        found, self._at = self._text[self._at + 1 : end], end + 1
        return found

    def _double(self) -> str:
        out, self._at = "", self._at + 1
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == '"':
                self._at += 1
                return out
            if char == "$":
                out += self._variable()
                continue
            follows = self._text[self._at + 1 : self._at + 2]
            if char == self._escape and follows and follows in ('"', "$", self._escape):
                out, self._at = out + follows, self._at + 2
            else:
                out, self._at = out + char, self._at + 1
        raise BadWord('a quote " is not closed')

    def _variable(self) -> str:
        self._at += 1
        if self._text[self._at : self._at + 1] == "{":
            self._at += 1
            return self._braces()
        found = _NAME.match(self._text, self._at)
        if not found:
            return "$"
        self._at = found.end()
        return self._variables.get(found.group(), "")

    def _braces(self) -> str:
        found = _NAME.match(self._text, self._at)
        if not found:
            raise BadWord("${ is not followed by a name")
        name, self._at = found.group(), found.end()
        value = self._variables.get(name)
        rest = self._text[self._at :]
        operator = next((each for each in _OPERATORS if rest.startswith(each)), None)
        if operator is None:
            raise BadWord(f"${{{name} is not closed or has an unknown modifier" if rest else f"${{{name} is not closed")
        self._at += len(operator)
        if operator == "}":
            return value or ""
        if operator[0] == "/":
            pattern = self._until("/}")
            with_ = ""
            if self._text[self._at : self._at + 1] == "/":
                self._at += 1
                with_ = self._until("}")
            self._close(name)
            return _replace(value or "", pattern, with_, everywhere=operator == "//")
        word = self._until("}")
        self._close(name)
        return _OPERATORS[operator](name, value, word)

    def _close(self, name: str) -> None:
        if self._text[self._at : self._at + 1] != "}":
            raise BadWord(f"${{{name} is not closed")
        self._at += 1


def _required(name: str, value: str | None, word: str) -> str:
    if value is None:
        raise BadWord(f"{name}: {word or 'not set'}")
    return value


def _cut(value: str, pattern: str, *, longest: bool, end: bool) -> str:
    """Without the shortest or longest prefix (or suffix) that matches."""
    sizes = range(len(value) + 1)
    for size in reversed(sizes) if longest else sizes:
        part = value[len(value) - size :] if end else value[:size]
        if fnmatch.fnmatchcase(part, pattern):
            return value[: len(value) - size] if end else value[size:]
    return value


def _replace(value: str, pattern: str, with_: str, *, everywhere: bool) -> str:
    if not pattern:
        return value
    expression = fnmatch.translate(pattern).removesuffix(r"\Z").removesuffix(r"\z")
    return re.sub(expression, lambda _: with_, value, count=0 if everywhere else 1)


_OPERATORS: dict[str, Callable[[str, str | None, str], str]] = {
    "}": lambda name, value, word: value or "",
    ":-": lambda name, value, word: value or word,
    ":+": lambda name, value, word: word if value else "",
    ":?": lambda name, value, word: _required(name, value or None, word),
    "-": lambda name, value, word: word if value is None else value,
    "+": lambda name, value, word: "" if value is None else word,
    "?": _required,
    "##": lambda name, value, word: _cut(value or "", word, longest=True, end=False),
    "#": lambda name, value, word: _cut(value or "", word, longest=False, end=False),
    "%%": lambda name, value, word: _cut(value or "", word, longest=True, end=True),
    "%": lambda name, value, word: _cut(value or "", word, longest=False, end=True),
    "//": lambda name, value, word: "",
    "/": lambda name, value, word: "",
}


def split(text: str, escape: str = "\\") -> list[str]:
    """At blanks outside of quotes; quotes and escapes stay, for `expand` to take away. Raises BadWord."""
    words, word, quote, at = list[str](), "", "", 0
    while at < len(text):
        char = text[at]
        if char == escape and at + 1 < len(text) and quote != "'":
            word, at = word + char + text[at + 1], at + 1
        elif char.isspace() and not quote:
            words, word = [*words, word] if word else words, ""
        else:
            if char in "\"'":
                quote = "" if quote == char else quote or char
            word += char
        at += 1
    if quote:
        raise BadWord(f"a quote {quote} is not closed")
    return [*words, word] if word else words


def pairs(text: str, escape: str = "\\") -> list[tuple[str, str]]:
    """KEY=VALUE words, or the old form `KEY the rest of the line`. Not expanded yet. Raises BadWord."""
    words = split(text, escape)
    if words and "=" not in words[0]:
        rest = text.strip().removeprefix(words[0]).strip()
        if not rest:
            raise BadWord(f"{words[0]} has no value (write {words[0]}=VALUE)")
        return [(words[0], rest)]
    for word in words:
        if "=" not in word:
            raise BadWord(f"{word} has no = (write KEY=VALUE)")
    return [(key, value) for key, _, value in (word.partition("=") for word in words)]


def is_name(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None
