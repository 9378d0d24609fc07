import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.manifest.errors import ManifestError
from orchestr.manifest.yaml import Document, parse


def read(text: str) -> Document:
    [document] = parse(text.encode(), "f.yaml")
    return document


@pytest.mark.parametrize("text", [b"[" * 100_000, b"- " * 100_000, b"[" * 201, b"{a: " * 900])
def test_what_is_nested_too_deep_is_told_as_such(text: bytes) -> None:
    assert problem(text).endswith("nested more than 200 deep")


def problem(text: bytes) -> str:
    with pytest.raises(ManifestError) as caught:
        parse(text, "f.yaml")
    [found] = caught.value.problems
    return str(found)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("22:22", "22:22"),
        ("1_000", "1_000"),
        ("2026-01-31", "2026-01-31"),
        ("true", True),
        ("~", None),
        ("12", 12),
        ("-12", -12),
        ("0x1F", 31),
        ("0o17", 15),
        ("0440", 0o440),
        ("089", 89),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("!!float 1", 1.0),
        ("|\n  a\n  b", "a\nb"),
    ],
)
def test_scalars_mean_what_compose_and_kubernetes_mean(text: str, value: Any) -> None:
    assert read(f"a: {text}").data == {"a": value}


def test_every_value_knows_its_place() -> None:
    document = read("a: 1\nb:\n- c: x\n  d: [1, 2]\n")
    assert document.positions[("b", 0, "d")] == (4, 3)
    assert document.values[("b", 0, "d", 1)] == (4, 10)
    assert document.place(("b", 0, "missing", "deep")) == (3, 3)


def test_merge_keys_give_what_is_not_there() -> None:
    text = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  <<: [*x, *y]\n  a: 0\n"
    document = read(text)
    assert document.data["z"] == {"a": 0, "b": 2, "c": 4}
    assert document.positions[("z", "c")] == (2, 14)


def test_documents_without_content_are_left_out() -> None:
    documents = parse(b"---\n# nothing\n---\na: 1\n---\nb: 2\n", "f.yaml")
    assert [document.data for document in documents] == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "f.yaml:1:1: the file is empty"),
        (b"# only words\n", "f.yaml:1:1: the file is empty"),
        (b"a:\n\tb: 1\n", "f.yaml:2:1: not YAML: a tab cannot indent (use spaces)"),
        (b"a: 1\nb: 2\na: 3\n", "f.yaml:3:1: key 'a' is there twice (first in line 1)"),
        (b"a: {b: 1, b: 2}", "f.yaml:1:11: key 'b' is there twice"),
        (b"a: b: c", "f.yaml:1:5: not YAML"),
        (b"a: [1,\n", "f.yaml:2:1: not YAML"),
        (b"a: *b", "f.yaml:1:4: alias *b has no anchor"),
        (b"a: &b [*b]", "f.yaml:1:8: alias *b contains itself"),
        (b"\x7fELF\x00\x01", "f.yaml:1:5: the file has the control character 0x00 (is it a binary file?)"),
        (b"ok: 1\n\xff\n", "f.yaml:2:1: the file is not text in UTF-8"),
        (b"a" * 10_000_000, "f.yaml:1:1: the file has 10000000 bytes"),
        (b"a: !!binary aGk=", "f.yaml:1:4: not supported: tag !!binary"),
        (b"{{ name }}: 1", "f.yaml:1:1: a key must be text"),
        (b"a:\n  <<: [1]\n", "f.yaml:2:3: << merges maps only"),
    ],
)
def test_what_cannot_be_read_is_one_message_with_its_place(text: bytes, message: str) -> None:
    assert problem(text)[:20] == message[:20]
    assert message.split(": ", 1)[1] in problem(text)


@pytest.mark.parametrize("step", ["k{n}: &k{n} [{all}]\n", "k{n}: &k{n}\n  <<: [{all}]\n"])
def test_an_alias_bomb_is_refused(step: str) -> None:
    lines = ["k0: &k0 {a: 1}\n"]
    lines += [step.format(n=n, all=", ".join([f"*k{n - 1}"] * 9)) for n in range(1, 12)]
    assert "aliases expand to too many values" in problem("".join(lines).encode())


def test_local_tags_are_handed_to_who_allows_them() -> None:
    [document] = parse(b"a: !reset null\nb: !reset [1]\n", "f.yaml", tags={"!reset"})
    assert document.tags == {("a",): "!reset", ("b",): "!reset"}
    assert document.data == {"a": None, "b": [1]}


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), json_values, min_size=1, max_size=3))
def test_json_is_read_as_json(data: dict[str, Any]) -> None:
    [document] = parse(json.dumps(data).encode(), "f.json")
    assert document.data == data


@given(st.binary(max_size=40) | st.text(alphabet="ab:-[]{}&*<'\"\n\t #|>!?%@", max_size=40).map(str.encode))
def test_no_bytes_make_anything_but_a_manifest_error(text: bytes) -> None:
    try:
        parse(text, "f.yaml")
    except ManifestError as error:
        [found] = error.problems
        assert found.line is not None
