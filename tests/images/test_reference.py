"""References: what Docker accepts, in one canonical form."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.images.reference import parse
from orchestr.images.seam import ImageError

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(("text", "canonical"), [
    ("redis", "redis:latest"), ("redis:7", "redis:7"), ("team/app", "team/app:latest"),
    ("local/host", "local/host:latest"),
    ("localhost:5000/app:1", "localhost:5000/app:1"), ("registry.example.org/a/b", "registry.example.org/a/b:latest"),
    (f"a@sha256:{HEX}", f"a@sha256:{HEX}"), (f"a:1@sha256:{HEX}", f"a:1@sha256:{HEX}"),
    ("[::1]:5000/a", "[::1]:5000/a:latest"),
])  # fmt: skip
def test_canonical_form(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical


@pytest.mark.parametrize(
    "text", ["", "UPPER", "a b", "a:", ":1", "a@sha256:12", "a/../b", "/a", "a//b", "a/", "-a", "a:b:c", "a\nb"]
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(ImageError, match=r"^cannot read image"):
        parse(text)


@given(st.text(string.ascii_letters + string.digits + ":/@._-[]\n ", max_size=60))
def test_parsing_what_was_parsed_changes_nothing(text: str) -> None:
    """Any text is refused with ImageError or has one canonical form, which names no path outside."""
    try:
        found = str(parse(text))
    except ImageError:
        return
    assert str(parse(found)) == found
    assert ".." not in found.split("/")
    assert "\n" not in found
