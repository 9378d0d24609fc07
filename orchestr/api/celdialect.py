"""From Kubernetes' dialect of the expression language to what the library understands.

    a.?b[?c].d        optional selection                    functions that give an optional value
    o.optMap(x, e)    and optFlatMap                        map over a list of at most one item
    cel.bind(x, v, e)                                       map over a list of one item
    Object.spec{a: 1} and JSONPatch{op: "add", ...}         maps
    l.all(k, v, e)    macros over two variables             macros over a list of pairs
An expression without any of these is handed on as it is written.
"""

from dataclasses import dataclass, field

from orchestr.api.celsyntax import (
    Binary,
    Call,
    Ident,
    Index,
    ListOf,
    Literal,
    MapOf,
    Message,
    Node,
    Select,
    SyntaxFault,
    Ternary,
    Unary,
    children,
)

MACROS = {"all", "exists", "exists_one", "map", "filter"}
PAIRS = {"all": "all", "exists": "exists", "existsOne": "exists_one", "transformList": "map"}  # with two variables
OPTIONAL = {"optMap", "optFlatMap"}
NAMES = {"bind", *OPTIONAL, *PAIRS}  # that look like functions' names
TYPES = {"int", "uint", "double", "bool", "string", "bytes", "list", "map", "type", "null_type", "dyn"}
LIBRARIES = {"optional", "cel", "sets", "math", "ip", "cidr", "format", "base64", "jsonpatch"}
MESSAGES = ("Object", "JSONPatch")


def extended(node: Node) -> bool:
    """Whether the library has to be helped."""
    match node:
        case Select(_, _, True) | Index(_, _, True) | Message():
            return True
        case Call(Ident("cel"), "bind", _):
            return True
        case Call(target, name, args) if target is not None:
            if name in OPTIONAL or (name in PAIRS and len(args) > 2 and isinstance(args[1], Ident)):
                return True
    return any(extended(child) for child in children(node))


def called(node: Node) -> set[str]:
    """The names of all functions and macros in the expression."""
    inner = {name for child in children(node) for name in called(child)}
    return inner | ({node.name} if isinstance(node, Call) else set())


def free(node: Node) -> set[str]:
    """Names that are neither bound by a macro nor of a type or library: the variables that have to be given."""
    if isinstance(node, Ident):
        return set() if node.name in TYPES else {node.name}
    if not isinstance(node, Call) or node.target is None:
        return {name for child in children(node) for name in free(child)}
    target = set() if isinstance(node.target, Ident) and node.target.name in LIBRARIES else free(node.target)
    bound, rest = _bound(node)
    return target | ({name for child in rest for name in free(child)} - bound)


def _bound(call: Call) -> tuple[set[str], tuple[Node, ...]]:
    """(variables that the macro binds, the expressions that see them)."""
    pairs = call.name in PAIRS and len(call.args) > 2 and isinstance(call.args[1], Ident)
    count = 2 if pairs else 1 if call.name in {*MACROS, *OPTIONAL, "bind"} and call.args else 0
    names = call.args[:count]
    return {each.name for each in names if isinstance(each, Ident)}, call.args[count:]


def fields_of(node: Node, name: str) -> set[str]:
    """The fields that are selected from the variable."""
    found = {node.field} if isinstance(node, Select) and node.operand == Ident(name) else set()
    return found | {each for child in children(node) for each in fields_of(child, name)}


def nesting(node: Node) -> int:
    """How many macros that loop are inside of each other, at most."""
    inner = max((nesting(child) for child in children(node)), default=0)
    return inner + (isinstance(node, Call) and node.target is not None and node.name in {*MACROS, *PAIRS})


def written(node: Node) -> str:
    """The expression for the library. Raises SyntaxFault for what cannot be said."""
    return _Writer().text(node)


@dataclass
class _Writer:
    """`pairs`: variables of macros over two, by name, as they have to be written."""

    pairs: dict[str, str] = field(default_factory=dict)

    def text(self, node: Node) -> str:
        match node:
            case Literal(text, _):
                return text
            case Ident(name):
                return self.pairs.get(name, name)
            case Unary(sign, operand):
                return f"{sign}({self.text(operand)})"
            case Binary(sign, left, right):
                return f"({self.text(left)} {sign} {self.text(right)})"
            case Ternary(condition, yes, no):
                return f"({self.text(condition)} ? {self.text(yes)} : {self.text(no)})"
            case ListOf(items):
                return f"[{self._list(items)}]"
            case MapOf(entries):
                return "{" + ", ".join(f"{self.text(name)}: {self.text(value)}" for name, value in entries) + "}"
            case Message(name, fields):
                return self._message(name, fields)
            case Select() | Index():
                return self._chain(node)
            case Call(target, name, args):
                return self._call(target, name, args)

    def _list(self, nodes: tuple[Node, ...]) -> str:
        return ", ".join(self.text(each) for each in nodes)

    def _message(self, name: str, fields: tuple[tuple[str, Node], ...]) -> str:
        if name.split(".")[0] not in MESSAGES:
            raise SyntaxFault(f"undeclared reference to '{name}'")
        return "{" + ", ".join(f'"{unescaped(field_)}": {self.text(value)}' for field_, value in fields) + "}"

    def _chain(self, node: Select | Index) -> str:
        """What is selected from an optional value is optional, too."""
        operand = self.text(node.operand)
        step = f'"{node.field}"' if isinstance(node, Select) else self.text(node.key)
        if node.optional or _is_optional(node.operand):
            return f"{operand}.optSelect__({step})"
        return f"{operand}.{node.field}" if isinstance(node, Select) else f"{operand}[{step}]"

    def _call(self, target: Node | None, name: str, args: tuple[Node, ...]) -> str:
        if target is None:
            if name == "has" and len(args) == 1 and isinstance(args[0], Select) and _is_optional(args[0].operand):
                return f"{self._chain(args[0])}.hasValue()"
            return f"{name}({self._list(args)})"
        if (target, name) == (Ident("cel"), "bind"):
            variable, value, then = _three(args)
            return f"[{self.text(value)}].map({variable}, {self.text(then)})[0]"
        on = self.text(target)
        if name in OPTIONAL and len(args) == 2 and isinstance(args[0], Ident):
            items, body = f"{on}.optList__()", self.text(args[1])
            if name == "optMap":
                return f"{items}.map({args[0].name}, {body}).optHead__()"
            return f"{items}.map({args[0].name}, {body}.optList__()).optJoin__()"
        if name in PAIRS and len(args) > 2 and isinstance(args[0], Ident) and isinstance(args[1], Ident):
            return self._over_pairs(on, name, args[0].name, args[1].name, args[2:])
        return f"{on}.{name}({self._list(args)})"

    def _over_pairs(self, on: str, name: str, key: str, value: str, rest: tuple[Node, ...]) -> str:
        pair = f"pair{len(self.pairs)}__"
        inside = _Writer({**self.pairs, key: f"{pair}[0]", value: f"{pair}[1]"})
        return f"{on}.pairs__().{PAIRS[name]}({pair}, {inside._list(rest)})"


def _three(args: tuple[Node, ...]) -> tuple[str, Node, Node]:
    if len(args) != 3 or not isinstance(args[0], Ident):
        raise SyntaxFault("cel.bind() needs a variable's name, its value and an expression")
    return args[0].name, args[1], args[2]


def _is_optional(node: Node) -> bool:
    """Whether the value is an optional one, by the form of the expression."""
    match node:
        case Select(operand, _, optional) | Index(operand, _, optional):
            return optional or _is_optional(operand)
        case Call(Ident("optional"), _, _):
            return True
        case Call(target, name, _) if target is not None:
            return name in {*OPTIONAL, "or"}
    return False


ESCAPES = {"__underscores__": "__", "__dot__": ".", "__dash__": "-", "__slash__": "/"}


def unescaped(name: str) -> str:
    """A property as it is called on the wire: a__dash__b is `a-b`, __in__ is `in`."""
    plain = name
    for word, char in ESCAPES.items():
        plain = plain.replace(word, char)
    if plain == name and name.startswith("__") and name.endswith("__") and len(name) > 4:
        return name[2:-2]
    return plain
