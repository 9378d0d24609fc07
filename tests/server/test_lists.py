"""Lists in pieces and lists of an instant: one revision throughout, whatever happens meanwhile."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestr.api.base import Key
from orchestr.api.core import ConfigMap
from orchestr.api.errors import Expired
from orchestr.store import LocalCluster
from tests.contract.clusters import local
from tests.server.daemon import Daemon, config_map
from tests.server.test_watch import watching

MAPS = "/api/v1/namespaces/default/configmaps"


def names(found: Any) -> list[str]:
    return [item["metadata"]["name"] for item in found["items"]]


async def page(served: Daemon, query: str) -> tuple[int, Any]:
    return await served.request("GET", f"{MAPS}?{query}")


async def test_pieces_show_the_instant_of_the_first(served: Daemon) -> None:
    for name in "abcde":
        await served.request("POST", MAPS, config_map(name, k="1"))
    _, first = await page(served, "limit=2")
    assert (names(first), first["metadata"]["remainingItemCount"]) == (["a", "b"], 3)
    await served.request("DELETE", f"{MAPS}/c")
    await served.request("POST", MAPS, config_map("cc"))
    await served.request("PUT", f"{MAPS}/d", config_map("d", k="2"))
    _, second = await page(served, f"limit=2&continue={first['metadata']['continue']}")
    assert (names(second), second["metadata"]["remainingItemCount"]) == (["c", "d"], 1)
    assert second["items"][1]["data"] == {"k": "1"}
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    _, last = await page(served, f"limit=2&continue={second['metadata']['continue']}")
    assert (names(last), set(last["metadata"])) == (["e"], {"resourceVersion"})
    assert names((await page(served, ""))[1]) == ["a", "b", "cc", "d", "e"]


@pytest.mark.parametrize("how", ["time", "history"])
async def test_a_token_that_is_too_old_comes_back_as_one_for_the_rest(served: Daemon, how: str) -> None:
    for name in "abc":
        await served.cluster.create(ConfigMap.model_validate(config_map(name)))
    _, first = await page(served, "limit=1")
    token = first["metadata"]["continue"]
    if how == "time":
        revision, namespace, name, begun = json.loads(urlsafe_b64decode(token))
        token = urlsafe_b64encode(json.dumps([revision, namespace, name, begun - 301]).encode()).decode()
        await served.cluster.patch(ConfigMap, Key("default", "b"), {"data": {"n": "1"}})
    else:
        for number in range(500):
            await served.cluster.patch(ConfigMap, Key("default", "b"), {"data": {"n": str(number)}})
    status, error = await page(served, f"limit=1&continue={quote(token)}")
    assert (status, error["reason"]) == (410, "Expired")
    _, rest = await page(served, f"limit=1&continue={error['metadata']['continue']}")
    assert names(rest) == ["b"]
    assert rest["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    _, last = await page(served, f"continue={rest['metadata']['continue']}")
    assert (names(last), last["metadata"]["resourceVersion"]) == (["c"], rest["metadata"]["resourceVersion"])


async def test_a_list_of_a_version(served: Daemon) -> None:
    _, made = await served.request("POST", MAPS, config_map("a"))
    then = made["metadata"]["resourceVersion"]
    await served.request("POST", MAPS, config_map("b"))
    _, exact = await page(served, f"resourceVersion={then}&resourceVersionMatch=Exact")
    assert (names(exact), exact["metadata"]["resourceVersion"]) == (["a"], then)
    assert names((await page(served, f"resourceVersion={then}&limit=5"))[1]) == ["a"]
    assert names((await page(served, f"resourceVersion={then}"))[1]) == ["a", "b"]
    assert names((await page(served, f"resourceVersion={then}&resourceVersionMatch=NotOlderThan"))[1]) == ["a", "b"]
    assert names((await page(served, "resourceVersion=0&limit=5"))[1]) == ["a", "b"]
    status, error = await page(served, "resourceVersion=999999")
    assert (status, error["details"]["causes"][0]["reason"]) == (504, "ResourceVersionTooLarge")


@pytest.mark.parametrize(
    "query",
    [
        "resourceVersionMatch=Exact",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersion=1&resourceVersionMatch=Never",
        "sendInitialEvents=true",
        "watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=1",
        "watch=true&sendInitialEvents=true",
        "watch=true&sendInitialEvents=true&resourceVersionMatch=Exact",
    ],
)
async def test_parameters_that_do_not_go_together(served: Daemon, query: str) -> None:
    status, error = await page(served, query)
    assert (status, error["reason"], error["details"]["kind"]) == (422, "Invalid", "ListOptions")


async def test_an_object_that_ceases_to_match_is_shown_as_it_was(served: Daemon) -> None:
    _, made = await served.request("POST", MAPS, config_map("a", k="1"))
    async with watching(
        served, f"labelSelector=app%3Da&resourceVersion={made['metadata']['resourceVersion']}"
    ) as lines:
        changed: Any = config_map("a", k="2")
        changed["metadata"]["labels"] = {"app": "z"}
        _, after = await served.request("PUT", f"{MAPS}/a", changed)
        (event,) = await lines.chunk()
        assert (event["type"], event["object"]["data"]) == ("DELETED", {"k": "1"})
        assert event["object"]["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


async def test_after_a_restart_a_watch_with_a_selector_misses_no_end(tmp_path: Any) -> None:
    from orchestr.server.selectors import selector
    from orchestr.server.watch import visible

    async with local(tmp_path) as cluster:
        made = await cluster.create(ConfigMap.model_validate(config_map("a")))
        await cluster.patch(ConfigMap, made.key, {"metadata": {"labels": {"app": "z"}}})
    async with local(tmp_path) as cluster:
        changes = cluster.changes(ConfigMap, since=int(made.metadata.resource_version or 0))
        assert visible(await anext(changes), selector("app=a", None)) == "DELETED"
        assert len(cluster.rows(ConfigMap, at=int(made.metadata.resource_version or 0) - 1).rows) == 0


steps = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "delete"])), max_size=12)


@given(steps)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_revision_can_be_listed(tmp_path_factory: Any, steps: list[tuple[str, str]]) -> None:
    """Model: what the store held after each step."""
    async with local(tmp_path_factory.mktemp("past")) as cluster:
        seen: list[tuple[int, list[tuple[str, str]]]] = []
        for number, (name, step) in enumerate(steps):
            await _step(cluster, name, step, str(number))
            seen.append((cluster.revision, _shown(cluster, None)))
        for revision, shown in seen:
            assert _shown(cluster, revision) == shown
        with pytest.raises(Expired):
            cluster.rows(ConfigMap, at=-1)


async def _step(cluster: LocalCluster, name: str, step: str, value: str) -> None:
    obj = ConfigMap.model_validate(config_map(name, n=value))
    if step == "delete":
        await cluster.delete(obj)
    elif await cluster.get(ConfigMap, obj.key) is None:
        await cluster.create(obj)
    else:
        await cluster.update(obj)


def _shown(cluster: LocalCluster, at: int | None) -> list[tuple[str, str]]:
    found: list[Any] = [row.object for row in cluster.rows(ConfigMap, at=at).rows]
    return [(obj.metadata.name, obj.data["n"]) for obj in found]
