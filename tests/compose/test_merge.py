"""Laws of merging: a file over itself changes nothing, and it does not matter which two of three are merged first."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr.manifest.compose.merge import merge, without_reset
from orchestr.manifest.compose.shorthand import canonical
from orchestr.manifest.compose.tree import Findings, Node, tree
from orchestr.manifest.yaml import Document

WORD = st.sampled_from(["a", "b", "c"])
NUMBER = st.integers(80, 83).map(str)
SERVICE = st.fixed_dictionaries(
    {"image": WORD},
    optional={
        "environment": st.dictionaries(WORD, WORD) | st.lists(st.tuples(WORD, WORD).map("=".join), unique=True),
        "ports": st.lists(st.tuples(NUMBER, NUMBER).map(":".join), unique=True),
        "volumes": st.lists(st.tuples(WORD, WORD).map(lambda pair: f"{pair[0]}:/{pair[1]}"), unique_by=lambda v: v[-1]),
        "cap_add": st.lists(WORD, unique=True),
        "depends_on": st.lists(WORD, unique=True),
        "command": WORD | st.lists(WORD),
        "logging": st.fixed_dictionaries({"options": st.dictionaries(WORD, WORD)}),
        "networks": st.lists(WORD, unique=True)
        | st.dictionaries(WORD, st.fixed_dictionaries({"aliases": st.lists(WORD)})),
    },
)
FILE = st.fixed_dictionaries({"services": st.dictionaries(WORD, SERVICE, min_size=1)})


def read(data: Any) -> Node:
    found = tree(Document(data, {}, {}, "file"))
    canonical(found, Findings())
    return found


def shown(node: Node) -> Any:
    """As data; the order of lists is the order in which the files say them, which the laws leave open."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(child) for key, child in value.items()}
        return sorted(map(repr, value)) if isinstance(value, list) else value

    return plain(without_reset(node).plain())


@settings(max_examples=30, deadline=None)
@given(FILE)
def test_a_file_over_itself_is_itself(file: dict[str, Any]) -> None:
    once = merge(read(file), read(file))
    assert shown(merge(once, read(file))) == shown(once)


@settings(max_examples=30, deadline=None)
@given(FILE, FILE, FILE)
def test_what_is_merged_first_does_not_matter(one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]) -> None:
    left = merge(merge(read(one), read(two)), read(three))
    right = merge(read(one), merge(read(two), read(three)))
    assert shown(left) == shown(right)
