"""What the daemon finds wrong with the objects of a file is told as what is wrong with the file."""

from pathlib import Path

import pytest

from orchestr.api.errors import ApiError, Cause, Conflict, Forbidden, Invalid
from orchestr.cli.errors import Bad, Failed
from orchestr.cli.placed import placed
from orchestr.manifest import objects

FILE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
apiVersion: example.org/v1
kind: Widget
metadata:
  name: b
spec:
  sizes:
  - 1
  - 2
"""


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (
            Invalid("no", causes=[Cause("items[1].spec.sizes[1]", "too large (use 1)")]),
            Bad,
            "FILE:13:5: spec.sizes[1]: too large (use 1)",
        ),
        (
            Invalid("no", causes=[Cause("items[1].spec.color", "is required")]),
            Bad,
            "FILE:10:1: spec.color: is required",
        ),
        (Invalid("no", causes=[Cause("items[0]", "not so")]), Bad, "FILE:2:1: not so"),
        (Invalid("no", causes=[Cause("items[0]", "taken", "FieldValueDuplicate")]), Failed, "FILE:2:1: taken"),
        (Forbidden("no", causes=[Cause("items[0]", "not now")]), Failed, "FILE:2:1: not now"),
        (Conflict("no", causes=[Cause("items[1].spec.sizes", "taken")]), Failed, "FILE:11:3: spec.sizes: taken"),
    ],
)
def test_causes_have_places(tmp_path: Path, error: ApiError, kind: type[Exception], text: str) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(FILE)
    told = placed(error, objects.load([str(file)]))
    assert type(told) is kind
    assert str(told) == text.replace("FILE", str(file))


@pytest.mark.parametrize("causes", [[], [Cause("namespaces", "odd")], [Cause("items[7].spec", "odd")]])
def test_what_is_about_no_item_stays(tmp_path: Path, causes: list[Cause]) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(FILE)
    error = Invalid("no", causes=causes)
    assert placed(error, objects.load([str(file)])) is error
