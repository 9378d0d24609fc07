"""From libyaml's events to nodes: the written tree of a document, before aliases and merges are laid out.

A stack of our own instead of recursion, so that deep nesting is an error and never a crash.
"""

from collections.abc import Set
from typing import Any

from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from orchestr.manifest.scalars import STRING, plain, tagged

Position = tuple[int, int]  # (line, column), both from 1
DEPTH_LIMIT = 200
COLLECTIONS = {"tag:yaml.org,2002:map": "map", "tag:yaml.org,2002:seq": "list"}
MERGE = "<<"


class ReadError(Exception):
    """What is wrong at one place."""

    def __init__(self, at: Position, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.at, self.message, self.hint = at, message, hint


class Node:
    """A value as written. Slots, since a large file has a hundred thousand of them."""

    __slots__ = ("at", "data", "keys", "kind", "merges", "open", "tag")

    def __init__(self, kind: str, data: Any, at: Position, tag: str = "") -> None:
        self.kind = kind  # "scalar": data is the value; "list": Nodes; "map": {key: Node}
        self.data = data
        self.at = at
        self.tag = tag  # a local tag that is allowed
        self.keys: dict[str, Position] = {}  # of a map
        self.merges: list[tuple[Position, Node]] = []  # values of <<
        self.open = True  # until its end event: an alias to it would never end


def nodes(text: str, tags: Set[str]) -> list[Node]:
    """The root node of every document that has content. Raises ReadError and yaml.YAMLError."""
    parser = CParser(text)
    roots = []
    builder = Builder(tags)
    try:
        while parser.check_event():
            event = parser.get_event()
            if isinstance(event, DocumentStartEvent):
                builder = Builder(tags)
            elif isinstance(event, DocumentEndEvent):
                if builder.root is not None and builder.root.data is not None:
                    roots.append(builder.root)
            elif event is not None:
                builder.take(event)
    finally:
        parser.dispose()
    return roots


def _at(event: Event) -> Position:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


class Builder:
    """Takes the events of one document."""

    def __init__(self, tags: Set[str]) -> None:
        self.root: Node | None = None
        self.tags = tags
        self.anchors: dict[str, Node] = {}
        self.stack: list[Node] = []
        self.pending: list[tuple[str | None, Position] | None] = []  # per open map: the key whose value comes next

    def take(self, event: Event) -> None:
        match event:
            case ScalarEvent():
                self._scalar(event)
            case MappingStartEvent() | SequenceStartEvent():
                self._start(event)
            case MappingEndEvent() | SequenceEndEvent():
                self.stack.pop().open = False
                self.pending.pop()
            case AliasEvent():
                self._alias(event)

    def _scalar(self, event: ScalarEvent) -> None:
        at = _at(event)
        if self._wants_key():
            self.pending[-1] = (self._key(event, at), at)
            return
        node = Node("scalar", None, at)
        if event.implicit[0]:  # plain, without a tag
            node.data = plain(event.value)
        elif event.tag in (None, "!") or event.implicit[1]:
            node.data = event.value
        elif event.tag in self.tags:
            node.data, node.tag = plain(event.value), event.tag
        else:
            node.data = self._tagged(event.value, event.tag, at)
        self._add(node, event.anchor)

    def _tagged(self, value: str, tag: str, at: Position) -> Any:
        try:
            return tagged(value, tag)
        except ValueError as error:
            short = tag.replace("tag:yaml.org,2002:", "!!")
            if short.startswith("!!") and short != "!!binary":
                raise ReadError(at, f"{value[:40]!r} is no {short}") from error
            raise ReadError(at, f"not supported: tag {short}", "write the value as text") from error

    def _key(self, event: ScalarEvent, at: Position) -> str | None:
        """Keys are text; `80:` is the key "80". None for `<<`, which in quotes is an ordinary key."""
        if event.anchor:
            raise ReadError(at, f"not supported: anchor &{event.anchor} on a key")
        if event.tag not in (None, "!", STRING):
            raise ReadError(at, f"not supported: tag {event.tag} on a key")
        return None if event.value == MERGE and event.implicit[0] else str(event.value)

    def _start(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        at = _at(event)
        if self._wants_key():
            raise ReadError(at, "a key must be text, not a list or map", "quote it if it is text, such as '{{ x }}'")
        if len(self.stack) >= DEPTH_LIMIT:
            raise ReadError(at, f"nested more than {DEPTH_LIMIT} deep")
        is_map = isinstance(event, MappingStartEvent)
        kind, tag = ("map" if is_map else "list"), event.tag or ""
        if tag not in ("", "!", *self.tags) and COLLECTIONS.get(tag) != kind:
            raise ReadError(at, f"not supported: tag {tag.replace('tag:yaml.org,2002:', '!!')}")
        node = Node(kind, {} if is_map else [], at, tag if tag in self.tags else "")
        self._add(node, event.anchor)
        self.stack.append(node)
        self.pending.append(None)

    def _alias(self, event: AliasEvent) -> None:
        at = _at(event)
        node = self.anchors.get(event.anchor or "")
        if self._wants_key():
            raise ReadError(at, f"not supported: alias *{event.anchor} as a key")
        if node is None:
            known = ", ".join(f"&{name}" for name in self.anchors)
            raise ReadError(at, f"alias *{event.anchor} has no anchor before it", f"there are {known}" if known else "")
        if node.open and node.kind != "scalar":
            raise ReadError(at, f"alias *{event.anchor} contains itself")
        self._add(node, None)

    def _wants_key(self) -> bool:
        return bool(self.stack) and self.stack[-1].kind == "map" and self.pending[-1] is None

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return
        parent = self.stack[-1]
        if parent.kind == "list":
            parent.data.append(node)
            return
        key, at = self.pending[-1] or ("", node.at)
        self.pending[-1] = None
        if key is None:
            parent.merges.append((at, node))
        elif key in parent.data:
            first = parent.keys[key]
            raise ReadError(at, f"key {key!r} is there twice", f"first in line {first[0]}")
        else:
            parent.data[key] = node
            parent.keys[key] = at
