"""MutatingAdmissionPolicies: what their bindings make of an object on its way in. No I/O.

Source: staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/mutating of Kubernetes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestr.api import scheme
from orchestr.api.base import KubeObject
from orchestr.api.cel import CelError
from orchestr.api.errors import ApiError, Invalid
from orchestr.api.policies import (
    MutatingAdmissionPolicy,
    MutatingAdmissionPolicyBinding,
    MutatingAdmissionPolicySpec,
    Mutation,
)
from orchestr.api.versions import served_form, stored_form
from orchestr.store.expressions import Facts
from orchestr.store.fields import merge
from orchestr.store.jsonpatch import json_patch
from orchestr.store.matching import Subject
from orchestr.store.policies import Bound, matching
from orchestr.store.shapes import root
from orchestr.store.table import kind_name

BINDINGS = kind_name(MutatingAdmissionPolicyBinding)
FIXED = ("apiVersion", "kind")
FIXED_METADATA = ("name", "namespace", "uid", "resourceVersion", "managedFields")


class Fault(Exception):
    """A mutation that cannot be made."""


def mutated(subject: Subject, *, again: bool = False) -> KubeObject:
    """The object after every policy, in the order of their names; with `again` after those that look twice."""
    assert subject.new is not None
    if not subject.tx.table.has(BINDINGS):
        return subject.new
    for bound in list(matching(subject, BINDINGS, MutatingAdmissionPolicy)):
        spec: MutatingAdmissionPolicySpec = bound.policy.spec
        if again and spec.reinvocation_policy != "IfNeeded":
            continue
        try:
            if bound.facts is None:
                raise Fault(bound.fault)
            subject = subject.with_(_after(subject, bound, bound.facts))
        except Fault as fault:
            if spec.failure_policy != "Ignore":
                raise _refusal(subject, bound, str(fault)) from fault
    assert subject.new is not None
    return subject.new


def _after(subject: Subject, bound: Bound, facts: Facts) -> KubeObject:
    """The object after the mutations of one policy, each of which sees what those before it did. Raises Fault."""
    obj = subject.new
    assert obj is not None
    facts = facts.about(obj)
    for mutation in bound.policy.spec.mutations:
        obj = _changed(obj, facts, mutation)
        facts = facts.about(obj)
    return obj


def _changed(obj: KubeObject, facts: Facts, mutation: Mutation) -> KubeObject:
    form = mutation.apply_configuration or mutation.json_patch
    source = (form and form.expression) or ""
    wire: dict[str, Any] = served_form(obj, facts.kind).wire()
    try:
        value = facts.value(source)
        after = _applied(wire, value) if mutation.patch_type == "ApplyConfiguration" else _patched(wire, value)
        changed = stored_form(scheme.read(facts.kind, after))
    except CelError as error:
        raise Fault(f"expression '{source.strip()}' resulted in error: {error}") from error
    except ApiError as error:
        raise Fault(f"cannot use what expression '{source.strip()}' gives: {error}") from error
    if changed.key != obj.key:
        raise Fault(f"expression '{source.strip()}' changes name or namespace")
    return changed.but(metadata=changed.metadata.but(managed_fields=obj.metadata.managed_fields))


def _applied(wire: dict[str, Any], value: Any) -> dict[str, Any]:
    """As server-side apply merges: lists with keys item by item, all other lists as a whole."""
    if not isinstance(value, Mapping):
        raise Fault(f"an ApplyConfiguration must be an Object{{...}}, not {value!r:.64}")
    metadata = value.get("metadata") or {}
    if fixed := [f for f in FIXED if f in value] + [f"metadata.{f}" for f in FIXED_METADATA if f in metadata]:
        raise Fault(f"an ApplyConfiguration may not set {fixed[0]}")
    merged: dict[str, Any] = merge(wire, _without_nulls(value), root(wire))
    return merged


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list | tuple) else value


def _patched(wire: dict[str, Any], value: Any) -> dict[str, Any]:
    if not isinstance(value, list) or not all(isinstance(each, Mapping) and "op" in each for each in value):
        raise Fault(f"a JSONPatch must be a list of JSONPatch{{op: ...}}, not {value!r:.64}")
    patched: dict[str, Any] = json_patch(wire, list(_operations(value)))
    return patched


def _operations(value: list[Any]) -> Iterator[dict[str, Any]]:
    for each in value:
        yield {"value": None, **each} if each["op"] in ("add", "replace", "test") else dict(each)


def _refusal(subject: Subject, bound: Bound, why: str) -> Invalid:
    policy, binding = bound.policy.metadata.name, bound.binding.metadata.name
    kind = type(subject.any)
    details = {"name": subject.any.metadata.name, "group": kind.GROUP, "kind": kind.PLURAL}
    return Invalid(f"policy '{policy}' with binding '{binding}' denied request: {why}", details=details)
