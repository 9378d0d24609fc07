"""The syntax of the Common Expression Language: text to a tree.

The tree is needed for what the library cannot do by itself: optional selection, `cel.bind` and objects (celdialect.py),
the types of expressions (celtypes.py), and a bound on depth, since the library's own recursion ends the process.
Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md, "Syntax".
"""

import re
from typing import Any, NamedTuple, Union

DEPTH = 256  # nodes above each other; the library needs some KB of stack for each
TOKEN = re.compile(
    r"""\s+|//[^\n]*
    |(?P<number>0x[0-9a-fA-F]+[uU]?|\d+\.\d+(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+[uU]?)
    |(?P<string>(?:[bB][rR]?|[rR][bB]?)?(?:"{3}(?:[^\\]|\\.)*?"{3}|'{3}(?:[^\\]|\\.)*?'{3}
        |"(?:[^\\"\n]|\\.)*"|'(?:[^\\'\n]|\\.)*'))
    |(?P<name>[_a-zA-Z][_a-zA-Z0-9]*)
    |(?P<sign>\.\?|\[\?|&&|\|\||[=!<>]=|[-+*/%<>!?:,.()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)


class SyntaxFault(Exception):
    """Text that is no expression."""


class Literal(NamedTuple):
    text: str
    type: str  # int, uint, double, string, bytes, bool, null_type


class Ident(NamedTuple):
    name: str


class Select(NamedTuple):
    operand: "Node"
    field: str
    optional: bool = False


class Index(NamedTuple):
    operand: "Node"
    key: "Node"
    optional: bool = False


class Call(NamedTuple):
    target: "Node | None"
    name: str
    args: tuple["Node", ...]


class ListOf(NamedTuple):
    items: tuple["Node", ...]


class MapOf(NamedTuple):
    entries: tuple[tuple["Node", "Node"], ...]


class Message(NamedTuple):
    name: str
    fields: tuple[tuple[str, "Node"], ...]


class Unary(NamedTuple):
    sign: str
    operand: "Node"


class Binary(NamedTuple):
    sign: str
    left: "Node"
    right: "Node"


class Ternary(NamedTuple):
    condition: "Node"
    yes: "Node"
    no: "Node"


Node = Union[Literal, Ident, Select, Index, Call, ListOf, MapOf, Message, Unary, Binary, Ternary]  # noqa: UP007
LEVELS = (("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))
CONSTANTS = {"true": "bool", "false": "bool", "null": "null_type"}


def parse(source: str) -> Node:
    """Raises SyntaxFault."""
    reader = _Reader(_tokens(source))
    try:
        node = reader.expression()
    except RecursionError:
        raise SyntaxFault("the expression is nested too deeply") from None
    if reader.kind:
        raise SyntaxFault(f"Syntax error: extraneous input '{reader.text}'")
    return bounded(node)


def bounded(node: Node) -> Node:
    """The tree itself. SyntaxFault when it is higher than DEPTH."""
    level: list[Node] = [node]
    for _ in range(DEPTH):
        level = [child for each in level for child in children(each)]
        if not level:
            return node
    raise SyntaxFault(f"the expression is nested too deeply (it has more than {DEPTH} levels)")


def children(node: Node) -> tuple[Node, ...]:
    match node:
        case Select(operand, _, _) | Unary(_, operand):
            return (operand,)
        case Index(operand, key, _):
            return (operand, key)
        case Call(target, _, args):
            return args if target is None else (target, *args)
        case ListOf(items):
            return items
        case MapOf(entries):
            return tuple(each for entry in entries for each in entry)
        case Message(_, fields):
            return tuple(value for _, value in fields)
        case Binary(_, left, right):
            return (left, right)
        case Ternary():
            return tuple(node)
    return ()


def _tokens(source: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(source):
        match = TOKEN.match(source, at)
        if match is None:
            raise SyntaxFault(f"Syntax error: token recognition error at: '{source[at : at + 20]}'")
        if match.lastgroup:
            found.append((match.lastgroup, match[0]))
        at = match.end()
    return found


class _Reader:
    """Recursive descent; one token ahead."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = [*tokens, ("", "<EOF>")]
        self._at = 0

    @property
    def kind(self) -> str:
        return self._tokens[self._at][0]

    @property
    def text(self) -> str:
        return self._tokens[self._at][1]

    def expression(self) -> Node:
        condition = self._binary(0)
        if not self._take("?"):
            return condition
        yes = self._binary(0)
        self._need(":")
        return Ternary(condition, yes, self.expression())

    def _binary(self, level: int) -> Node:
        if level == len(LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while self.kind in ("sign", "name") and self.text in LEVELS[level]:
            left = Binary(self._next(), left, self._binary(level + 1))
        return left

    def _unary(self) -> Node:
        signs = []
        while self.kind == "sign" and self.text in ("!", "-"):
            signs.append(self._next())
        node = self._member()
        for sign in reversed(signs):
            node = Unary(sign, node)
        return node

    def _member(self) -> Node:
        node = self._primary()
        while self.kind == "sign":
            if self._take("."):
                name = self._name()
                node = Call(node, name, self._arguments()) if self._take("(") else Select(node, name)
            elif self._take(".?"):
                node = Select(node, self._name(), True)
            elif self._take("["):
                node = Index(node, self.expression())
                self._need("]")
            elif self._take("[?"):
                node = Index(node, self.expression(), True)
                self._need("]")
            elif self.text == "{" and (name := _dotted(node)):
                self._next()
                node = Message(name, self._fields())
            else:
                break
        return node

    def _primary(self) -> Node:
        kind, text = self.kind, self._next()
        if kind == "number":
            return Literal(text, _number(text))
        if kind == "string":
            return Literal(text, "bytes" if "b" in text.split(text[-1])[0].lower() else "string")
        if kind == "name" and text in CONSTANTS:
            return Literal(text, CONSTANTS[text])
        if kind == "name":
            return Call(None, text, self._arguments()) if self._take("(") else Ident(text)
        if text == "." and self.kind == "name":
            return self._primary()  # a name of the root: there are no others
        if text == "(":
            node = self.expression()
            self._need(")")
            return node
        if text == "[":
            return ListOf(self._list("]"))
        if text == "{":
            return MapOf(self._entries())
        raise SyntaxFault(f"Syntax error: mismatched input '{text}'")

    def _arguments(self) -> tuple[Node, ...]:
        return self._list(")")

    def _list(self, end: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._take(end):
            if items:
                self._need(",")
                if end == "]" and self._take(end):
                    break
            items.append(self.expression())
        return tuple(items)

    def _entries(self) -> tuple[tuple[Node, Node], ...]:
        found: list[tuple[Node, Node]] = []
        while not self._take("}"):
            if found:
                self._need(",")
                if self._take("}"):
                    break
            key = self.expression()
            self._need(":")
            found.append((key, self.expression()))
        return tuple(found)

    def _fields(self) -> tuple[tuple[str, Node], ...]:
        found: list[tuple[str, Node]] = []
        while not self._take("}"):
            if found:
                self._need(",")
                if self._take("}"):
                    break
            name = self._name()
            self._need(":")
            found.append((name, self.expression()))
        return tuple(found)

    def _name(self) -> str:
        if self.kind != "name":
            raise SyntaxFault(f"Syntax error: no viable alternative at input '{self.text}'")
        return self._next()

    def _take(self, text: str) -> bool:
        if self.kind == "sign" and self.text == text:
            self._at += 1
            return True
        return False

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise SyntaxFault(f"Syntax error: missing '{text}' at '{self.text}'")

    def _next(self) -> str:
        text = self.text
        if not self.kind:
            raise SyntaxFault("Syntax error: mismatched input '<EOF>'")
        self._at += 1
        return text


def _dotted(node: Any) -> str:
    """a.b.c of a chain of plain names; "" for anything else."""
    names: list[str] = []
    while isinstance(node, Select) and not node.optional:
        names.append(node.field)
        node = node.operand
    return ".".join([node.name, *reversed(names)]) if isinstance(node, Ident) else ""


def _number(text: str) -> str:
    if text[-1] in "uU":
        return "uint"
    return "int" if text.startswith("0x") or not re.search(r"[.eE]", text) else "double"
