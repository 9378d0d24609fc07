"""Selectors and paths: pure functions, any input."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.api.errors import BadRequest, NotFound
from orchestr.server.paths import Target, target
from orchestr.server.selectors import fields, labels

KEYS = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True).filter(lambda key: key not in ("in", "notin"))
VALUES = st.from_regex(r"[a-z0-9]{0,5}", fullmatch=True)


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.dictionaries(KEYS, VALUES, max_size=4))
def test_equality_is_being_a_subset(wanted: dict[str, str], found: dict[str, str]) -> None:
    text = ",".join(f"{key}={value}" for key, value in wanted.items())
    assert all(each.holds(found) for each in labels(text)) == (wanted.items() <= found.items())


@given(KEYS, st.lists(VALUES, min_size=1, max_size=3), st.dictionaries(KEYS, VALUES, max_size=4))
def test_in_and_notin_are_opposites(key: str, values: list[str], found: dict[str, str]) -> None:
    (inside,), (outside,) = (labels(f"{key} {op} ({', '.join(values)})") for op in ("in", "notin"))
    assert inside.holds(found) != outside.holds(found)
    (exists,), (absent,) = labels(key), labels(f"!{key}")
    assert exists.holds(found) != absent.holds(found)


@given(st.text(max_size=40))
def test_anything_is_read_or_refused(text: str) -> None:
    for read in (labels, fields):
        with suppress(BadRequest):
            read(text)


@given(st.lists(st.text(alphabet="ab/.-", max_size=5), max_size=9))
def test_any_path_is_read_or_refused(parts: list[str]) -> None:
    for start in ("/api", "/api/v1/", "/apis/g/v1/"):
        with suppress(NotFound):
            target(start + "/".join(parts))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/pods", Target("", "v1", "", "pods", "", "")),
        ("/api/v1/namespaces", Target("", "v1", "", "namespaces", "", "")),
        ("/api/v1/namespaces/a", Target("", "v1", "", "namespaces", "a", "")),
        ("/api/v1/namespaces/a/status", Target("", "v1", "", "namespaces", "a", "status")),
        ("/api/v1/namespaces/a/pods", Target("", "v1", "a", "pods", "", "")),
        ("/api/v1/namespaces/a/pods/p/log", Target("", "v1", "a", "pods", "p", "log")),
        ("/apis/apps/v1/namespaces/a/deployments/d/scale", Target("apps", "v1", "a", "deployments", "d", "scale")),
        ("/apis/apps/v1/deployments", Target("apps", "v1", "", "deployments", "", "")),
    ],
)
def test_paths(path: str, expected: Target) -> None:
    assert target(path) == expected
