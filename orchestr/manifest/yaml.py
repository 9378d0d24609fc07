"""A strict YAML reader that remembers where everything stands.

    parse(b"...", "shop.yaml") -> [Document(data, positions, values, name, tags), ...]

Strict: a key that is there twice, an alias that blows up, a tab that indents, text that is not UTF-8, and a file
without content are errors, each told as FILE:LINE:COL. Scalars mean what scalars.py says. `<<` merges, keys are
strings. JSON is YAML, so it is read too.
"""

import re
from collections.abc import Mapping, Set
from typing import Any, NamedTuple

import yaml

from orchestr.manifest.errors import ManifestError, Problem
from orchestr.manifest.nodes import DEPTH_LIMIT, Node, Position, ReadError, nodes

Path = tuple[str | int, ...]

SIZE_LIMIT = 8 * 1024 * 1024  # bytes of a file
NODE_LIMIT = 100_000  # values of a document, beyond ten for each one written out
# JSON writes characters beyond U+FFFF as two escapes, which libyaml does not know.
SURROGATES = re.compile(
    r"(?<!\\)(?P<before>(?:\\\\)*)\\u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
)
CONTROL = bytes(set(range(32)) - set(b"\t\n\r"))


class Document(NamedTuple):
    """One document of a file."""

    data: Any
    positions: Mapping[Path, Position]  # of the key; of a list item the item; () is the document
    values: Mapping[Path, Position]  # of the value
    name: str  # of the file
    tags: Mapping[Path, str] = {}  # local tags that the caller allowed, such as Compose's !reset

    def place(self, path: Path, *, value: bool = False) -> Position:
        """Where the key at `path` stands, or its value; else the nearest thing around it."""
        found = self.values if value else self.positions
        while path and path not in found:
            path = path[:-1]
        return found.get(path, (1, 1))


def parse(text: bytes, name: str, *, tags: Set[str] = frozenset()) -> list[Document]:
    """The documents of a file, those without content left out. `tags`: local tags to allow.

    Raises ManifestError with one problem: YAML cannot be read past its first error.
    """
    try:
        documents = [_laid_out(root, name, len(text)) for root in nodes(_decoded(text), tags)]
    except ReadError as error:
        raise ManifestError([Problem(name, *error.at, "", error.message, error.hint)]) from error
    except yaml.YAMLError as error:
        raise ManifestError([_syntax(error, name, text)]) from error
    if not documents:
        hint = "it needs a Compose file or Kubernetes objects"
        raise ManifestError([Problem(name, 1, 1, "", "the file is empty", hint)])
    return documents


def _decoded(text: bytes) -> str:
    if len(text) > SIZE_LIMIT:
        raise ReadError((1, 1), f"the file has {len(text)} bytes, more than {SIZE_LIMIT}", "split it")
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ReadError((1, 1), "the file is UTF-16", "save it as UTF-8")
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(
            _position(text, error.start), "the file is not text in UTF-8", "is it a binary file?"
        ) from error
    if len(text.translate(None, CONTROL)) != len(text):
        offset = next(i for i, byte in enumerate(text) if byte in CONTROL)
        at = _position(text, offset)
        raise ReadError(at, f"the file has the control character {text[offset]:#04x}", "is it a binary file?")
    return SURROGATES.sub(_character, decoded) if decoded.lstrip()[:1] in ("{", "[") else decoded


def _character(found: re.Match[str]) -> str:
    high, low = int(found["high"], 16), int(found["low"], 16)
    return found["before"] + chr(0x10000 + ((high & 0x3FF) << 10 | low & 0x3FF))


def _position(text: bytes, offset: int) -> Position:
    before = text[:offset]
    return before.count(b"\n") + 1, len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1


def _syntax(error: yaml.YAMLError, name: str, text: bytes) -> Problem:
    """libyaml's message in our form."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    message = getattr(error, "problem", None) or str(error).splitlines()[0]
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.decode("utf-8-sig").splitlines()
    tab = next((number for number in (line, line - 1) if _tab(lines, number)), None)
    if tab:
        indent = len(lines[tab - 1]) - len(lines[tab - 1].lstrip(" "))
        return Problem(name, tab, indent + 1, "", "not YAML: a tab cannot indent", "use spaces")
    if "maximum nesting depth" in message:  # libyaml 0.2.6 has a limit of its own, and reads ahead
        return Problem(name, line, column, "", f"nested more than {DEPTH_LIMIT} deep")
    hints = {
        "mapping values are not allowed": "quote the text, or check the indentation",
        "could not find expected ':'": "a key needs ': ' after it",
        "did not find expected key": "check the indentation",
        "did not find expected '-' indicator": "check the indentation",
    }
    hint = next((hint for words, hint in hints.items() if words in message), "")
    return Problem(name, line, column, "", f"not YAML: {message}", hint)


def _tab(lines: list[str], number: int) -> bool:
    return 0 < number <= len(lines) and lines[number - 1].lstrip(" ").startswith("\t")


def _laid_out(root: Node, name: str, size: int) -> Document:
    layout = _Layout(NODE_LIMIT + size)
    data = layout.value(root, (), root.at)
    return Document(data, layout.positions, layout.values, name, layout.tags)


class _Layout:
    """Nodes to data: aliases copied, merges merged, positions noted; bounded, because aliases multiply."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.positions: dict[Path, Position] = {}
        self.values: dict[Path, Position] = {}
        self.tags: dict[Path, str] = {}

    def value(self, node: Node, path: Path, key: Position) -> Any:
        self.budget -= 1
        if self.budget < 0:
            raise ReadError(key, "aliases expand to too many values", "write the values out")
        self.positions[path] = key
        self.values[path] = node.at
        if node.tag:
            self.tags[path] = node.tag
        if node.kind == "scalar":
            return node.data
        if node.kind == "list":
            return [self.value(item, (*path, index), item.at) for index, item in enumerate(node.data)]
        members = self.members(node) if node.merges else {k: (node.keys[k], v) for k, v in node.data.items()}
        return {name: self.value(item, (*path, name), at) for name, (at, item) in members.items()}

    def members(self, node: Node) -> dict[str, tuple[Position, Node]]:
        """The map's own members over those it merges; of several merged maps the first wins (YAML 1.1 merge type)."""
        found = {name: (node.keys[name], item) for name, item in node.data.items()}
        for at, merged in node.merges:
            for source in merged.data if merged.kind == "list" else [merged]:
                if source.kind != "map":
                    raise ReadError(at, "<< merges maps only", "give it an alias of a map")
                self.budget -= 1 + len(source.data)
                if self.budget < 0:
                    raise ReadError(at, "aliases expand to too many values", "write the values out")
                for name, member in self.members(source).items():
                    found.setdefault(name, member)
        return found
