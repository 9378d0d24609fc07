"""x-kubernetes-validations: the rules of a schema, on a custom resource and, for transition rules, on what it was.

Source: staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel of Kubernetes.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from orchestr.api import formats
from orchestr.api.cel import CelError, evaluate
from orchestr.api.customschema import OBJECT_FIELDS, Path, Schema, shown
from orchestr.api.errors import Cause, render

RULES = "x-kubernetes-validations"
NOTHING: Any = object()  # no old value
OLD = re.compile(r"\boldSelf\b")
KEYWORDS = frozenset(
    {
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import"),
        *("let", "loop", "package", "namespace", "return", "var", "void", "while"),
    }
)
REASONS = {
    "FieldValueInvalid": "Invalid value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueRequired": "Required value",
    "FieldValueDuplicate": "Duplicate value",
}


def has_rules(schema: Any) -> bool:
    """Whether there is a rule anywhere in the schema."""
    if isinstance(schema, Mapping):
        return bool(schema.get(RULES)) or any(has_rules(child) for child in schema.values())
    return isinstance(schema, list) and any(has_rules(child) for child in schema)


def broken(value: Any, schema: Schema, old: Any = NOTHING, path: Path = ()) -> Iterator[Cause]:
    """A cause for each rule that does not hold. Rules on `oldSelf` ask only where there is an old value."""
    if value is None:
        return
    for rule in schema.get(RULES) or ():
        yield from _rule(rule, value, schema, old, path)
    if isinstance(value, dict):
        properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
        before = old if isinstance(old, dict) else {}
        for name, child in value.items():
            known = properties.get(name) or (others if isinstance(others, Mapping) else None)
            if known is not None:
                yield from broken(child, known, before.get(name, NOTHING), (*path, name))
    elif isinstance(value, list) and isinstance(items := schema.get("items"), Mapping):
        for index, item in enumerate(value):
            yield from broken(item, items, _former(item, schema, old), (*path, index))


def _former(item: Any, schema: Schema, old: Any) -> Any:
    """The old item of a map list with the same keys; other lists have no items that correspond."""
    keys = schema.get("x-kubernetes-list-map-keys")
    if not keys or not isinstance(old, list) or not isinstance(item, dict):
        return NOTHING
    same = (each for each in old if isinstance(each, dict) and all(each.get(k) == item.get(k) for k in keys))
    return next(same, NOTHING)


def _rule(rule: Mapping[str, Any], value: Any, schema: Schema, old: Any, path: Path) -> Iterator[Cause]:
    source, variables = rule["rule"], {"self": cel_value(value, schema, root=not path)}
    if OLD.search(source):
        before = None if old is NOTHING else cel_value(old, schema, root=not path)
        if rule.get("optionalOldSelf"):
            from orchestr.api.celfunctions import optional

            before = optional(old is not NOTHING, before)
        elif old is NOTHING:
            return
        variables["oldSelf"] = before
    reason = rule.get("reason") or "FieldValueInvalid"
    where = render(path) + str(rule.get("fieldPath") or "")
    try:
        if evaluate(source, variables) is True:
            return
        message = _message(rule, variables)
    except CelError as error:
        message = f"rule evaluation error: {error}"
    told = "" if reason in ("FieldValueForbidden", "FieldValueRequired") else f"{shown(value)}: "
    yield Cause(where.removeprefix("."), f"{REASONS.get(reason, 'Invalid value')}: {told}{message}", reason)


def _message(rule: Mapping[str, Any], variables: Mapping[str, Any]) -> str:
    if expression := rule.get("messageExpression"):
        try:
            text = evaluate(expression, variables)
        except CelError:
            text = None  # as Kubernetes: the plain message stands in
        if isinstance(text, str) and text.strip() and "\n" not in text:
            return text
    return str(rule.get("message") or f"failed rule: {' '.join(rule['rule'].split())}")


def cel_value(value: Any, schema: Any, *, root: bool = False) -> Any:
    """The value as the language sees it: numbers, times and durations typed, names of fields escaped."""
    schema = schema if isinstance(schema, Mapping) else {}
    if isinstance(value, dict):
        properties, others = schema.get("properties"), schema.get("additionalProperties")
        found = {}
        for name, child in value.items():
            known = (properties or {}).get(name) or (others if isinstance(others, Mapping) else None)
            if root and name in OBJECT_FIELDS and known is None:
                child = {k: child[k] for k in ("name", "generateName") if k in child} if name == "metadata" else child
            found[escaped(name) if properties else name] = cel_value(child, known)
        return found
    if isinstance(value, list):
        return [cel_value(item, schema.get("items")) for item in value]
    kind, format_ = schema.get("type"), schema.get("format")
    if kind == "number" and isinstance(value, int):
        return float(value)
    if kind == "integer" and isinstance(value, float):
        return int(value)
    if kind == "string" and isinstance(value, str):
        if format_ in ("date-time", "datetime"):
            return formats.moment(value)
        if format_ == "duration":
            return timedelta(seconds=formats.seconds(value))
    return value


def escaped(name: str) -> str:
    """A property's name as rules write it: `a-b` is a__dash__b, `in` is __in__."""
    if name in KEYWORDS:
        return f"__{name}__"
    for plain, word in (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")):
        name = name.replace(plain, word)
    return name
