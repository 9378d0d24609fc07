"""Makes orchestr/api/merging.json: how fields merge, from the schemas of kubernetes-validate.

    python tests/api/make_merging.py > orchestr/api/merging.json

Shape: {type name: {field: {"patch-strategy": "merge", "patch-merge-key": "name", "list-type": "map",
"list-map-keys": ["name"], "map-type": "atomic"}}}, for the types of kubernetes.json.
"""

import json
import sys
from typing import Any

from make_schema import SOURCE, short

from orchestr.api.schema import tables

MARK = "x-kubernetes-"


def marks(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    found = {name.removeprefix(MARK): value for name, value in field.items() if name.startswith(MARK)}
    whole = definitions[field["$ref"].rsplit("/", 1)[-1]] if "$ref" in field else {}
    return found | ({"map-type": whole[MARK + "map-type"]} if MARK + "map-type" in whole else {})


def main() -> None:
    definitions = json.loads(SOURCE.read_text())["$defs"]
    found: dict[str, dict[str, Any]] = {}
    for name, definition in definitions.items():
        if short(name) in tables().types:
            fields = definition.get("properties", {})
            marked = {field: marks(value, definitions) for field, value in fields.items()}
            found[short(name)] = {field: value for field, value in marked.items() if value}
    json.dump({k: v for k, v in found.items() if v}, sys.stdout, separators=(",", ":"), sort_keys=True)


if __name__ == "__main__":
    main()
