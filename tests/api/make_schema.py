"""Makes orchestr/api/kubernetes.json, compact field tables of Kubernetes 1.36, from the schemas of kubernetes-validate.

    python tests/api/make_schema.py > orchestr/api/kubernetes.json

Shape: {"kinds": {"apps/v1 Deployment": type name}, "types": {type name: {field: code}}}. A code is one character for a
scalar (s string, b boolean, i integer, n number, t time, q quantity, p int-or-string, y base64, * anything), "[" or "{"
before the code of a list's or map's values, or "@" before a type name; "!" at its end says required.
"""

import json
import sys
from collections.abc import Set
from pathlib import Path
from typing import Any

import kubernetes_validate

SOURCE = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema/v1.36.0-local-strict/_definitions.json"
SCALARS = {"string": "s", "boolean": "b", "integer": "i", "number": "n"}
SPECIAL = {"Quantity": "q", "IntOrString": "p", "Time": "t", "MicroTime": "t"}


def short(ref: str) -> str:
    """`/api/_definitions.json#/$defs/io.k8s.api.core.v1.PodSpec` -> `core.v1.PodSpec`."""
    parts = ref.rsplit("/", 1)[-1].split(".")
    return ".".join(parts[-3:])


def code(schema: dict[str, Any], types: Set[str]) -> str:
    if "$ref" in schema:
        name = short(schema["$ref"])
        return SPECIAL.get(name.rsplit(".", 1)[-1]) or ("@" + name if name in types else "*")
    kind = schema.get("type")
    kind = next((k for k in kind if k != "null"), None) if isinstance(kind, list) else kind
    if kind == "array":
        return "[" + code(schema["items"], types)
    if kind == "object":
        values = schema.get("additionalProperties")
        return "{" + code(values, types) if isinstance(values, dict) else "*"
    if kind == "string" and schema.get("format") in ("byte", "date-time"):
        return "y" if schema["format"] == "byte" else "t"
    return SCALARS.get(str(kind), "*")


def fields(schema: dict[str, Any], types: Set[str]) -> dict[str, str]:
    required = set(schema.get("required") or ())
    return {name: code(field, types) + "!" * (name in required) for name, field in schema["properties"].items()}


def used(types: dict[str, dict[str, str]], roots: set[str]) -> set[str]:
    seen: set[str] = set()
    todo = list(roots)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += [c.lstrip("[{").lstrip("@").rstrip("!") for c in types[name].values() if "@" in c]
    return seen


def build(source: Path = SOURCE) -> dict[str, Any]:
    definitions = json.loads(source.read_text())
    definitions = definitions.get("$defs", definitions)
    named = {short(name): schema for name, schema in definitions.items() if "properties" in schema}
    types = {name: fields(schema, named.keys()) for name, schema in named.items()}
    kinds: dict[str, str] = {}
    for name, schema in definitions.items():
        for gvk in schema.get("x-kubernetes-group-version-kind") or ():
            version = f"{gvk['group']}/{gvk['version']}" if gvk["group"] else gvk["version"]
            listed = gvk["kind"].endswith("List") and "items" in schema.get("properties", {})
            stable = "alpha" not in gvk["version"]
            if "metadata" in schema.get("properties", {}) and stable and not listed:
                kinds[f"{version} {gvk['kind']}"] = short(name)
    keep = used(types, set(kinds.values()))
    return {"kinds": dict(sorted(kinds.items())), "types": {name: types[name] for name in sorted(keep)}}


if __name__ == "__main__":
    json.dump(build(), sys.stdout, separators=(",", ":"))
    sys.stdout.write("\n")
