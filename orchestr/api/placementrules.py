"""Kubernetes' rules for taints, tolerations, and what a pod asks of its node.

Source: pkg/apis/core/validation of Kubernetes. Types and required fields were checked when the object was read.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestr.api import names
from orchestr.api.errors import Cause
from orchestr.api.node import Node
from orchestr.api.placement import EFFECTS, NO_EXECUTE
from orchestr.api.pod import PodSpec
from orchestr.api.rules import duplicates, one_of, required, wrong

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
REQUIRED, PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


def taints(node: Node) -> Iterator[Cause]:
    found: Sequence[Mapping[str, Any]] = node.spec.taints or ()
    for index, taint in enumerate(found):
        at = f"spec.taints[{index}]"
        yield from wrong(f"{at}.key", names.label_key(taint["key"]))
        yield from wrong(f"{at}.value", names.label_value(taint.get("value") or ""))
        yield from one_of(f"{at}.effect", taint["effect"], EFFECTS)
    yield from duplicates(
        ((f"spec.taints[{i}]", f"{taint['key']}:{taint['effect']}") for i, taint in enumerate(found)), "taint"
    )


def placement(spec: PodSpec, at: str) -> Iterator[Cause]:
    for index, toleration in enumerate(spec.tolerations or ()):
        yield from _toleration(toleration, f"{at}.tolerations[{index}]")
    for key, value in spec.node_selector.items():
        yield from wrong(f"{at}.nodeSelector", names.label_key(key))
        yield from wrong(f"{at}.nodeSelector[{key}]", names.label_value(value))
    affinity = (spec.affinity or {}).get("nodeAffinity") or {}
    where = f"{at}.affinity.nodeAffinity"
    if (needed := affinity.get(REQUIRED)) is not None:
        terms = needed.get("nodeSelectorTerms") or ()
        if not terms:
            yield required(f"{where}.{REQUIRED}.nodeSelectorTerms", "must have at least one node selector term")
        for index, term in enumerate(terms):
            yield from _term(term, f"{where}.{REQUIRED}.nodeSelectorTerms[{index}]")
    for index, wish in enumerate(affinity.get(PREFERRED) or ()):
        yield from _preferred(wish, f"{where}.{PREFERRED}[{index}]")


def _toleration(toleration: Mapping[str, Any], at: str) -> Iterator[Cause]:
    key, operator = toleration.get("key") or "", toleration.get("operator") or "Equal"
    effect, seconds = toleration.get("effect") or "", toleration.get("tolerationSeconds")
    if key:
        yield from wrong(f"{at}.key", names.label_key(key))
    elif operator != "Exists":
        yield Cause(f"{at}.operator", 'operator must be Exists when `key` is empty, which means "match all values"')
    if seconds is not None and effect != NO_EXECUTE:
        yield Cause(f"{at}.effect", "effect must be 'NoExecute' when `tolerationSeconds` is set")
    yield from one_of(f"{at}.operator", operator, ("Equal", "Exists"))
    if operator == "Exists" and toleration.get("value"):
        yield Cause(f"{at}.operator", "value must be empty when `operator` is 'Exists'")
    elif operator == "Equal":
        yield from wrong(f"{at}.value", names.label_value(toleration.get("value") or ""))
    if effect:
        yield from one_of(f"{at}.effect", effect, EFFECTS)


def _preferred(wish: Mapping[str, Any], at: str) -> Iterator[Cause]:
    if not 1 <= (wish.get("weight") or 0) <= 100:
        yield Cause(f"{at}.weight", "must be in the range 1-100")
    yield from _term(wish.get("preference") or {}, f"{at}.preference")


def _term(term: Mapping[str, Any], at: str) -> Iterator[Cause]:
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        where = f"{at}.matchExpressions[{index}]"
        yield from wrong(f"{where}.key", names.label_key(expression["key"]))
        yield from _values(expression, where)
    for index, field in enumerate(term.get("matchFields") or ()):
        where = f"{at}.matchFields[{index}]"
        yield from one_of(f"{where}.key", field["key"], ("metadata.name",))
        yield from one_of(f"{where}.operator", field["operator"], ("In", "NotIn"))
        if len(field.get("values") or ()) != 1:
            yield required(f"{where}.values", "must be only one value for node field selectors")


def _values(expression: Mapping[str, Any], at: str) -> Iterator[Cause]:
    operator, values = expression["operator"], expression.get("values") or ()
    yield from one_of(f"{at}.operator", operator, OPERATORS)
    if operator in ("In", "NotIn") and not values:
        yield required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    if operator in ("Exists", "DoesNotExist") and values:
        yield Cause(f"{at}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    if operator in ("Gt", "Lt") and len(values) != 1:
        yield required(f"{at}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
