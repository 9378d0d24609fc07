"""JSON patch by RFC 6902, strategic merge by Kubernetes' rules."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.api.errors import ApiError, BadRequest, Invalid
from orchestr.store.jsonpatch import json_patch
from orchestr.store.strategic import strategic_merge

POD = "core.v1.Pod"


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": 1}, [{"op": "add", "path": "/b", "value": 2}], {"a": 1, "b": 2}),
        ({"a": [1, 2]}, [{"op": "add", "path": "/a/1", "value": 9}], {"a": [1, 9, 2]}),
        ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
        ({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}),
        ({"a/b": 1, "~c": 2}, [{"op": "remove", "path": "/a~1b"}, {"op": "remove", "path": "/~0c"}], {}),
        ({"a": [1, 2]}, [{"op": "replace", "path": "/a/0", "value": 5}], {"a": [5, 2]}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 1}}], {"b": 1}),
        ({"a": {"x": 1}, "b": {}}, [{"op": "move", "from": "/a/x", "path": "/b/y"}], {"a": {}, "b": {"y": 1}}),
        ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
        ({"a": 1}, [{"op": "test", "path": "/a", "value": 1.0}], {"a": 1}),
    ],
)
def test_json_patch(target: Any, patch: Any, result: Any) -> None:
    assert json_patch(target, patch) == result


@pytest.mark.parametrize(
    "patch",
    [
        {"op": "add"},
        [{"op": "add", "path": "/a"}],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "add", "path": "/x/y", "value": 1}],
        [{"op": "remove", "path": "/x"}],
        [{"op": "remove", "path": "/l/2"}],
        [{"op": "remove", "path": "/l/-"}],
        [{"op": "remove", "path": "/l/01"}],
        [{"op": "replace", "path": "/x", "value": 1}],
        [{"op": "test", "path": "/a", "value": True}],
        [{"op": "move", "from": "/o", "path": "/o/p"}],
        [{"op": "jump", "path": "/a"}],
        [{"op": "remove", "path": "/a"}] * 10_001,
    ],
)
def test_json_patch_refused(patch: Any) -> None:
    target = {"a": 1, "l": [1, 2], "o": {}}
    with pytest.raises(ApiError) as error:
        json_patch(target, patch)
    assert error.value.code in (400, 413, 422)
    assert target == {"a": 1, "l": [1, 2], "o": {}}


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"containers": list(containers), **spec}}


def names(wire: dict[str, Any]) -> list[str]:
    return [container["name"] for container in wire["spec"]["containers"]]


A, B = {"name": "a", "image": "x"}, {"name": "b", "image": "y"}


def test_lists_merge_by_their_key() -> None:
    merged = strategic_merge(pod(A, B), {"spec": {"containers": [{"name": "b", "image": "z"}, {"name": "c"}]}}, POD)
    assert {c["name"]: c.get("image") for c in merged["spec"]["containers"]} == {"a": "x", "b": "z", "c": None}


def test_directives() -> None:
    gone = strategic_merge(pod(A, B), {"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}, POD)
    assert names(gone) == ["b"]
    whole = strategic_merge(pod(A, B), {"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}}, POD)
    assert names(whole) == ["c"]
    replaced = strategic_merge(pod(A, nodeName="n"), {"spec": {"$patch": "replace", "hostname": "h"}}, POD)
    assert replaced["spec"] == {"hostname": "h"}
    order = {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}
    assert names(strategic_merge(pod(A, B), order, POD)) == ["b", "a"]
    with pytest.raises(BadRequest):
        strategic_merge(pod(A), {"spec": {"$patch": "burn"}}, POD)
    with pytest.raises(BadRequest):
        strategic_merge(pod(A), {"spec": {"containers": [{"image": "z"}]}}, POD)


def test_retain_keys_and_primitive_lists() -> None:
    volumes = {"volumes": [{"name": "v", "emptyDir": {}}]}
    patch = {"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]}}
    assert strategic_merge(pod(A, **volumes), patch, POD)["spec"]["volumes"] == [
        {"name": "v", "hostPath": {"path": "/"}}
    ]
    target = {"metadata": {"name": "p", "finalizers": ["a", "b"]}}
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}}
    assert strategic_merge(target, patch, POD)["metadata"]["finalizers"] == ["b", "c"]


def test_lists_without_a_key_are_replaced_and_null_removes() -> None:
    target = pod({**A, "args": ["1", "2"]}, tolerations=[{"key": "a"}])
    patch = {"spec": {"containers": [{"name": "a", "args": ["3"]}], "tolerations": [{"key": "b"}], "hostname": None}}
    merged = strategic_merge(target, patch, POD)
    assert (merged["spec"]["containers"][0]["args"], merged["spec"]["tolerations"]) == (["3"], [{"key": "b"}])


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab$", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["spec", "name", "containers"]), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["metadata", "spec"]), values), st.dictionaries(st.just("spec"), values))
def test_any_patch_merges_or_is_refused(target: dict[str, Any], patch: dict[str, Any]) -> None:
    try:
        merged = strategic_merge(target, patch, POD)
    except (BadRequest, Invalid):
        return
    assert isinstance(merged, dict)
