"""Rules for what many kinds have in common: labels, annotations, selectors, templates, replicas."""

from collections.abc import Iterator
from typing import Any

from orchestr.api import names
from orchestr.api.core import PodTemplateSpec
from orchestr.api.errors import Cause
from orchestr.api.meta import IntOrString, LabelSelector, scaled
from orchestr.api.podrules import no_ephemeral, pod_spec
from orchestr.api.rules import at_least, one_of, required, wrong

ANNOTATION_LIMIT = 256 * 1024
REPLICA_LIMIT = 2**31 - 1


def at_key(at: str, key: str) -> str:
    return f"{at}.{key}" if key.replace("-", "a").replace("_", "a").isalnum() else f"{at}[{key}]"


def check_labels(labels: Any, at: str) -> Iterator[Cause]:
    for key, value in labels.items():
        yield from wrong(at_key(at, key), names.label_key(key) or names.label_value(value))


def check_annotations(annotations: Any, at: str) -> Iterator[Cause]:
    for key in annotations:
        yield from wrong(at_key(at, key), names.label_key(key.lower()))
    size = sum(len(key) + len(value) for key, value in annotations.items())
    if size > ANNOTATION_LIMIT:
        yield Cause(at, f"has {size} bytes, more than {ANNOTATION_LIMIT}", "FieldValueTooLong")


def check_finalizers(finalizers: Any, at: str) -> Iterator[Cause]:
    for index, name in enumerate(finalizers):
        yield from wrong(f"{at}[{index}]", names.label_key(name))


def check_selector(selector: LabelSelector, at: str) -> Iterator[Cause]:
    yield from check_labels(selector.match_labels, f"{at}.matchLabels")
    for index, requirement in enumerate(selector.match_expressions):
        where = f"{at}.matchExpressions[{index}]"
        yield from wrong(f"{where}.key", names.label_key(requirement.key))
        yield from one_of(f"{where}.operator", requirement.operator, ("In", "NotIn", "Exists", "DoesNotExist"))
        takes_values = requirement.operator in ("In", "NotIn")
        if takes_values != bool(requirement.values):
            verb = "needs" if takes_values else "must not have"
            yield Cause(f"{where}.values", f"operator {requirement.operator} {verb} values")


def check_template(template: PodTemplateSpec, at: str) -> Iterator[Cause]:
    yield from check_labels(template.metadata.labels, f"{at}.metadata.labels")
    yield from check_annotations(template.metadata.annotations, f"{at}.metadata.annotations")
    yield from pod_spec(template.spec, f"{at}.spec")
    yield from no_ephemeral(template.spec, f"{at}.spec")


def selects(selector: LabelSelector, template: PodTemplateSpec) -> Iterator[Cause]:
    """The selector must be there and match the labels of the template, or the pods would never be found again."""
    if selector.empty:
        yield required("spec.selector", "must not be empty")
    yield from check_selector(selector, "spec.selector")
    labels = template.metadata.labels
    if not selector.empty and not selector.matches(labels):
        shown = ", ".join(f"{key}: {value}" for key, value in selector.match_labels.items()) or "matchExpressions"
        has = ", ".join(f"{key}: {value}" for key, value in labels.items()) or "none"
        yield Cause("spec.template.metadata.labels", f"do not match the selector ({shown}); there are {has}")


def check_replicas(field: str, value: int) -> Iterator[Cause]:
    yield from at_least(field, value, 0)
    if value > REPLICA_LIMIT:
        yield Cause(field, f"must be at most {REPLICA_LIMIT}, not {value}")


def check_share(field: str, value: IntOrString | None, most: int | None = None) -> Iterator[Cause]:
    """A number or a percentage, from 0 up to `most` percent."""
    if value is None:
        return
    try:
        number = scaled(value, 100, up=True)
    except ValueError:
        yield Cause(field, f"must be a number or a percentage such as 25%, not {value!r}")
        return
    yield from at_least(field, number, 0)
    if most is not None and isinstance(value, str) and number > most:
        yield Cause(field, f"must be at most {most}%, not {value}")
