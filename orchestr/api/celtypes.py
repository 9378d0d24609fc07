"""Types of expressions: what an expression would do to objects of a kind that can be seen without any object.

Only what is certain is told; what is not known, such as the results of most functions, is `dyn` and fits everywhere.
Texts are those of cel-go's checker, which people look for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Union

from orchestr.api import schema
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
    Ternary,
    Unary,
    children,
)

DYN = "dyn"
PRIMITIVE = {"s": "string", "i": "int", "n": "double", "b": "bool", "y": "string", "t": "timestamp"}
FORMATS = {"date-time": "timestamp", "duration": "duration", "byte": "bytes"}
JSON_TYPES = {"integer": "int", "number": "double", "string": "string", "boolean": "bool"}
RESULTS = {
    **dict.fromkeys(("has", "startsWith", "endsWith", "contains", "matches", "exists_one", "isSorted"), "bool"),
    "size": "int",
    "int": "int",
    "uint": "uint",
    "double": "double",
    "string": "string",
    "bool": "bool",
    **dict.fromkeys(("lowerAscii", "upperAscii", "trim", "replace", "substring", "join", "format"), "string"),
    "timestamp": "timestamp",
    "duration": "duration",
    "bytes": "bytes",
}
NUMBERS, SCALARS = {"int", "uint", "double"}, {"int", "uint", "double", "string", "bytes", "bool"}
ADDED = {*NUMBERS, "string", "bytes"}
ORDERED = {*SCALARS, "timestamp", "duration"}
NAMES = {"<": "_<_", "<=": "_<=_", ">": "_>_", ">=": "_>=_", "==": "_==_", "!=": "_!=_", "&&": "_&&_", "||": "_||_"}


class ListType(NamedTuple):
    item: "Type"


class MapType(NamedTuple):
    value: "Type"


@dataclass(frozen=True)
class ObjectType:
    """Fields whose types are made when they are asked for; a field that is not among them is none."""

    name: str
    fields: Mapping[str, Callable[[], "Type"]] = field(compare=False)


Type = Union[str, ListType, MapType, ObjectType]  # noqa: UP007


def of_code(code: str) -> Type:
    """Of a type in Kubernetes' tables (schema.py)."""
    code = code.rstrip("!")
    match code[0]:
        case "[":
            return ListType(of_code(code[1:]))
        case "{":
            return MapType(of_code(code[1:]))
        case "@":
            known = schema.tables().types[code[1:]]
            return ObjectType(code[1:], {name: partial(of_code, each) for name, each in known.items()})
    return PRIMITIVE.get(code[0], DYN)


def of_schema(given: Any, *, root: bool = False) -> Type:
    """Of a custom resource's schema."""
    if not isinstance(given, Mapping) or given.get("x-kubernetes-int-or-string"):
        return DYN
    kind, properties, others = given.get("type"), given.get("properties"), given.get("additionalProperties")
    if kind == "array":
        return ListType(of_schema(given.get("items")))
    if kind == "string":
        return FORMATS.get(str(given.get("format")), "string")
    if kind != "object":
        return JSON_TYPES.get(str(kind), DYN)
    if given.get("x-kubernetes-preserve-unknown-fields"):
        return DYN
    if isinstance(others, Mapping):
        return MapType(of_schema(others))
    if not isinstance(properties, Mapping):
        return DYN
    fields: dict[str, Callable[[], Type]] = {n: partial(of_schema, each) for n, each in properties.items()}
    if root:
        fields |= {"apiVersion": lambda: "string", "kind": lambda: "string"}
        fields["metadata"] = lambda: of_code("@meta.v1.ObjectMeta")
    return ObjectType("object", fields)


def shown(found: Type) -> str:
    match found:
        case ListType(item):
            return f"list({shown(item)})"
        case MapType(value):
            return f"map(string, {shown(value)})"
        case ObjectType(name, _):
            return name
    return found


@dataclass
class Checker:
    """`variables`: types by name. `issues` is what was found wrong."""

    variables: Mapping[str, Type]
    issues: list[str] = field(default_factory=list)

    def type(self, node: Node) -> Type:
        match node:
            case Literal(_, kind):
                return kind
            case Ident(name):
                return self.variables.get(name, DYN)
            case Select(operand, name, optional):
                found = self._field(self.type(operand), name)
                return DYN if optional else found
            case Index(operand, key, optional):
                whole = self.type(operand)
                self.type(key)
                item = whole.item if isinstance(whole, ListType) else getattr(whole, "value", DYN)
                return DYN if optional else item
            case Unary("!", operand):
                self._demand("!_", self.type(operand), "bool")
                return "bool"
            case Unary(_, operand):
                return self.type(operand)
            case Binary(sign, left, right):
                return self._binary(sign, self.type(left), self.type(right))
            case Ternary(condition, yes, no):
                self._demand("_?_:_", self.type(condition), "bool")
                one, other = self.type(yes), self.type(no)
                return one if one == other else DYN
            case Call(target, name, args):
                return self._call(target, name, args)
            case ListOf(items):
                kinds = [self.type(item) for item in items]
                return ListType(kinds[0] if kinds and all(kind == kinds[0] for kind in kinds) else DYN)
            case MapOf() | Message():
                for child in children(node):
                    self.type(child)
        return DYN

    def _field(self, found: Type, name: str) -> Type:
        match found:
            case MapType(value):
                return value
            case ObjectType(_, fields):
                if name in fields:
                    return fields[name]()
                self.issues.append(f"undefined field '{name}'")
            case str() if found in SCALARS:
                self.issues.append(f"type '{found}' does not support field selection")
        return DYN

    def _demand(self, operation: str, found: Type, wanted: str) -> None:
        if found not in (DYN, wanted):
            self._mismatch(operation, found)

    def _mismatch(self, operation: str, *found: Type) -> None:
        kinds = ", ".join(map(shown, found))
        self.issues.append(f"found no matching overload for '{operation}' applied to '({kinds})'")

    def _binary(self, sign: str, left: Type, right: Type) -> Type:
        if not _fit(sign, left, right):
            self._mismatch(NAMES.get(sign, f"_{sign}_"), left, right)
            return DYN
        if sign in NAMES or sign == "in":
            return "bool"
        return left if left == right else DYN

    def _call(self, target: Node | None, name: str, args: tuple[Node, ...]) -> Type:
        if target is not None and name in ("all", "exists", "exists_one", "filter", "map") and len(args) in (2, 3):
            return self._macro(self.type(target), name, args)
        if (target, name) == (Ident("cel"), "bind") and len(args) == 3 and isinstance(args[0], Ident):
            return self._inside({args[0].name: self.type(args[1])}, args[2])
        if any(isinstance(each, Ident) and each.name not in self.variables for each in args):
            return DYN  # a macro that binds names
        for each in (*(() if target is None else (target,)), *args):
            self.type(each)
        return RESULTS.get(name, DYN)

    def _macro(self, over: Type, name: str, args: tuple[Node, ...]) -> Type:
        item = over.item if isinstance(over, ListType) else "string" if isinstance(over, MapType) else DYN
        if not isinstance(args[0], Ident) or (len(args) == 3 and name != "map"):
            return DYN
        bodies = [self._inside({args[0].name: item}, body) for body in args[1:]]
        if name == "map":
            return ListType(bodies[-1])
        if bodies[0] not in (DYN, "bool"):
            self._mismatch("_&&_" if name == "all" else "_||_", "bool", bodies[0])
        return ListType(item) if name == "filter" else "bool"

    def _inside(self, more: Mapping[str, Type], body: Node) -> Type:
        return Checker({**self.variables, **more}, self.issues).type(body)


def _fit(sign: str, left: Type, right: Type) -> bool:
    if DYN in (left, right) or sign == "in":
        return True
    if sign in ("&&", "||"):
        return left == right == "bool"
    if sign in ("==", "!="):
        return left == right or not (left in SCALARS and right in SCALARS) or {left, right} <= NUMBERS
    if sign in ("<", "<=", ">", ">="):
        return (left == right and left in ORDERED) or {str(left), str(right)} <= NUMBERS
    if {left, right} & {"timestamp", "duration"} and sign in "+-":
        return {left, right} <= {"timestamp", "duration"}
    if left != right:
        return isinstance(left, ListType) and isinstance(right, ListType)
    return left in (ADDED if sign == "+" else NUMBERS) or (sign == "+" and isinstance(left, ListType))
