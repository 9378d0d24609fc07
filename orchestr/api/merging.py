"""How the fields of Kubernetes' types merge: its x-kubernetes-* marks, from merging.json.

tests/api/make_merging.py makes the table. It serves strategic merge patches and the OpenAPI documents.
"""

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

Marks = Mapping[str, Any]  # "patch-strategy", "patch-merge-key", "list-type", "list-map-keys", "map-type"
NONE: Marks = {}


@cache
def table() -> Mapping[str, Mapping[str, Marks]]:
    """Type name -> field -> marks; fields without marks are left out."""
    with open(os.path.join(os.path.dirname(__file__), "merging.json"), "rb") as file:
        found: Mapping[str, Mapping[str, Marks]] = json.load(file)
    return found


def marks(type_name: str, field: str) -> Marks:
    return table().get(type_name, {}).get(field, NONE)
