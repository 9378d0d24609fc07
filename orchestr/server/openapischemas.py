"""JSON schemas of the served types, for both OpenAPIs: from Kubernetes' tables, and for our kinds from the models.

Kubernetes' types are shown whole; a field that this machine refuses, or that changes nothing on it, says so. A kind may
bring a schema of its own (custom resources do) in a class variable `OPENAPI`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orchestr.api import merging, schema, support
from orchestr.api.base import KubeObject, Model
from orchestr.api.decode import shapes
from orchestr.api.scheme import gvk

Schema = dict[str, Any]
Ref = Callable[[str], Schema]  # a schema that points to the type of this full name

MACHINERY = "io.k8s.apimachinery.pkg."
SCALARS: Mapping[str, Schema] = {
    "s": {"type": "string"},
    "y": {"type": "string", "format": "byte"},
    "b": {"type": "boolean"},
    "i": {"type": "integer", "format": "int64"},
    "n": {"type": "number", "format": "double"},
}
SHARED: Mapping[str, tuple[str, Schema]] = {
    "t": (MACHINERY + "apis.meta.v1.Time", {"type": "string", "format": "date-time"}),
    "q": (
        MACHINERY + "api.resource.Quantity",
        {"type": "string", "description": "A number with a suffix: 100m, 64Mi."},
    ),
    "p": (MACHINERY + "util.intstr.IntOrString", {"type": "string", "format": "int-or-string"}),
}
PREFIXES = {
    "meta": MACHINERY + "apis.",
    "apiextensions": "io.k8s.apiextensions-apiserver.pkg.apis.",
    "apiregistration": "io.k8s.kube-aggregator.pkg.apis.",
    "pkg": "io.k8s.apimachinery.",
}


def full_name(type_name: str) -> str:
    """`core.v1.Pod` as Kubernetes' documents call it."""
    return PREFIXES.get(type_name.split(".")[0], "io.k8s.api.") + type_name


def type_of(kind: type[KubeObject]) -> str | None:
    """The kind's type in Kubernetes' tables; None for one of our own."""
    return schema.tables().kinds.get(" ".join(gvk(kind)))


def name_of(kind: type[KubeObject]) -> str:
    known = type_of(kind)
    return full_name(known) if known else f"{'.'.join(reversed(kind.GROUP.split('.')))}.{kind.VERSION}.{kind.__name__}"


def schemas(kinds: Iterable[type[KubeObject]], more: Iterable[str], ref: Ref) -> dict[str, Schema]:
    """Full name -> schema: the kinds, their lists, the types `more`, and all that these point to."""
    found: dict[str, Schema] = {name: dict(shape) for name, shape in SHARED.values()}
    todo, models = [*more, "meta.v1.ObjectMeta", "meta.v1.ListMeta"], _models(kinds)
    for kind in kinds:
        known, marks = type_of(kind), {"x-kubernetes-group-version-kind": [_gvk(kind)]}
        if known is None:
            found[name_of(kind)] = _own(kind, ref, found) | marks
        else:
            found[full_name(known)] = _type(known, models, ref, todo) | marks
        found[name_of(kind) + "List"] = _list(kind, ref)
    while todo:
        name = todo.pop()
        if full_name(name) not in found and name in schema.tables().types:
            found[full_name(name)] = _type(name, models, ref, todo)
    return found


def _gvk(kind: type[KubeObject], suffix: str = "") -> dict[str, str]:
    return {"group": kind.GROUP, "version": kind.VERSION, "kind": kind.__name__ + suffix}


def _list(kind: type[KubeObject], ref: Ref) -> Schema:
    properties = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": ref(full_name("meta.v1.ListMeta")),
        "items": {"type": "array", "items": ref(name_of(kind))},
    }
    return {
        "type": "object",
        "description": f"A list of {kind.__name__} objects.",
        "required": ["items"],
        "properties": properties,
        "x-kubernetes-group-version-kind": [_gvk(kind, "List")],
    }


def _type(name: str, models: Mapping[str, type[Model]], ref: Ref, todo: list[str]) -> Schema:
    fields, model = schema.tables().types[name], models.get(name)
    properties = {
        field: _described(_field(code.rstrip("!"), merging.marks(name, field), ref, todo), model, field)
        for field, code in fields.items()
    }
    found: Schema = {"type": "object", "properties": properties}
    if text := _doc(model):
        found["description"] = text
    if required := [field for field, code in fields.items() if code[-1] == "!"]:
        found["required"] = required
    return found


def _field(code: str, marks: merging.Marks, ref: Ref, todo: list[str]) -> Schema:
    return _code(code, ref, todo) | {f"x-kubernetes-{name}": value for name, value in marks.items()}


def _code(code: str, ref: Ref, todo: list[str]) -> Schema:
    """A field's code (schema.py) as a schema."""
    match code[0]:
        case "[":
            return {"type": "array", "items": _code(code[1:], ref, todo)}
        case "{":
            return {"type": "object", "additionalProperties": _code(code[1:], ref, todo)}
        case "@":
            todo.append(code[1:])
            return ref(full_name(code[1:]))
        case "*":
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return ref(SHARED[code[0]][0]) if code[0] in SHARED else dict(SCALARS[code[0]])


def _described(found: Schema, model: type[Model] | None, field: str) -> Schema:
    """With what this machine makes of the field."""
    if model is None:
        return found
    key, text = (model.__name__, field), ""
    if field not in shapes(model):
        why = support.why_not(*key)
        text = "Not supported on this machine" + (f": {why}." if why else ".")
    elif key in support.NO_EFFECT:
        text = f"Kept, and of no effect on this machine: {support.NO_EFFECT[key]}."
    elif key in support.SOME_VALUES:
        allowed = " or ".join(map(str, shapes(model)[field].values))
        text = f"Only {allowed}: {support.SOME_VALUES[key]}."
    return found | ({"description": text} if text else {})


def _doc(model: type[Model] | None) -> str:
    text = (model.__doc__ or "") if model else ""
    return "" if text.startswith("metav1.") else " ".join(text.split())


def _models(kinds: Iterable[type[KubeObject]]) -> dict[str, type[Model]]:
    """Kubernetes' type name -> the model that stands for it."""
    found: dict[str, type[Model]] = {}

    def walk(name: str, model: type[Model]) -> None:
        if name in found:
            return
        found[name] = model
        types = schema.tables().types[name]
        for field, shape in shapes(model).items():
            inner = types.get(field, "").rstrip("!").lstrip("[{")
            if shape.nested and inner[:1] == "@":
                walk(inner[1:], shape.nested)

    for kind in kinds:
        if (name := type_of(kind)) is not None:
            walk(name, kind)
    return found


def _own(kind: type[KubeObject], ref: Ref, found: dict[str, Schema]) -> Schema:
    """The schema of a kind that is not Kubernetes': its own, or what pydantic says of the model."""
    given: Schema | None = getattr(kind, "OPENAPI", None)
    if given is not None:
        properties = dict(given.get("properties") or {})
        plain = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
        return {**given, "properties": properties | plain | {"metadata": ref(full_name("meta.v1.ObjectMeta"))}}
    prefix = name_of(kind).rpartition(".")[0]
    whole = kind.model_json_schema(by_alias=True, ref_template="#/" + prefix + ".{model}")
    parts = whole.pop("$defs", {})
    for name, part in parts.items():
        if name != "ObjectMeta":
            found[f"{prefix}.{name}"] = _openapi(part, ref)
    shown: Schema = _openapi(whole, ref)
    shown["properties"]["metadata"] = ref(full_name("meta.v1.ObjectMeta"))
    return shown


def _openapi(value: Any, ref: Ref) -> Any:
    """pydantic's JSON schema in OpenAPI's words: no null, no titles, no defaults."""
    if isinstance(value, list):
        return [_openapi(item, ref) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return ref(value["$ref"].removeprefix("#/"))
    choices = [choice for choice in value.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        return _openapi(choices[0], ref)
    if choices:
        return {"x-kubernetes-preserve-unknown-fields": True}
    skipped = ("title", "default", "prefixItems", "propertyNames", "const")
    found = {k: _openapi(v, ref) for k, v in value.items() if k not in skipped and k != "properties"}
    if "properties" in value:
        found["properties"] = {name: _openapi(part, ref) for name, part in value["properties"].items()}
    if found.get("type") == "array":
        found.setdefault("items", {"x-kubernetes-preserve-unknown-fields": True})
    return found
