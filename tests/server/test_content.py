"""In which form answers come, and bodies: JSON, YAML, tables, metadata alone; what happens to unknown fields."""

import json
from typing import Any

import pytest
import trio
import yaml

from orchestr.server.age import human
from orchestr.server.content import LIST_VIEWS, NotAcceptable, form
from tests.server.daemon import Daemon, config_map

MAPS = "/api/v1/namespaces/default/configmaps"
TABLE = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
PARTIALS = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


async def answer(
    served: Daemon, method: str, path: str, body: bytes, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    lines = {"host": "x", "content-length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}}
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
    return await served.raw(head.encode() + body)


async def test_yaml_in_and_out(served: Daemon) -> None:
    body = yaml.safe_dump({**config_map("a"), "data": {"when": "2026-01-01", "n": "1"}}).encode()
    status, headers, text = await answer(
        served, "POST", MAPS, body, content_type="application/yaml", accept="application/yaml"
    )
    assert (status, headers["content-type"], yaml.safe_load(text)["data"]["when"]) == (
        201,
        "application/yaml",
        "2026-01-01",
    )
    status, _, text = await answer(served, "GET", MAPS, b"", accept="application/yaml")
    assert (status, [item["metadata"]["name"] for item in yaml.safe_load(text)["items"]]) == (200, ["a"])


async def test_tables(served: Daemon) -> None:
    await served.request("POST", MAPS, config_map("a", x="1", y="2"))
    _, table = await served.request("GET", MAPS, headers={"accept": TABLE})
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    (row,) = table["rows"]
    assert (row["cells"][:2], row["object"]["kind"]) == (["a", 2], "PartialObjectMetadata")
    _, one = await served.request("GET", f"{MAPS}/a?includeObject=Object", headers={"accept": TABLE})
    assert one["rows"][0]["object"]["data"] == {"x": "1", "y": "2"}
    _, bare = await served.request("GET", f"{MAPS}/a?includeObject=None", headers={"accept": TABLE})
    assert "object" not in bare["rows"][0]
    assert (await served.request("GET", f"{MAPS}?includeObject=Half", headers={"accept": TABLE}))[0] == 400


async def test_every_kind_has_a_table(served: Daemon) -> None:
    for version in ("/api/v1", "/apis/apps/v1", "/apis/batch/v1", "/apis/orchestr.dev/v1"):
        _, found = await served.request("GET", version)
        for resource in found["resources"]:
            if "list" in resource["verbs"]:
                status, table = await served.request("GET", f"{version}/{resource['name']}", headers={"accept": TABLE})
                assert (status, table["kind"]) == (200, "Table"), resource
                assert all(len(row["cells"]) == len(table["columnDefinitions"]) for row in table["rows"])


async def test_metadata_alone(served: Daemon) -> None:
    await served.request("POST", MAPS, config_map("a", x="1"))
    _, one = await served.request("GET", f"{MAPS}/a", headers={"accept": PARTIAL})
    assert (one["kind"], "data" in one, one["metadata"]["name"]) == ("PartialObjectMetadata", False, "a")
    _, many = await served.request("GET", MAPS, headers={"accept": PARTIALS})
    assert (many["kind"], many["items"][0]["kind"]) == ("PartialObjectMetadataList", "PartialObjectMetadata")


async def test_a_watch_in_views(served: Daemon) -> None:
    await served.request("POST", MAPS, config_map("a"))
    for accept, kind in ((TABLE, "Table"), (PARTIAL, "PartialObjectMetadata")):
        async with await trio.open_unix_socket(served.socket) as stream:
            head = f"GET {MAPS}?watch=1&timeoutSeconds=1 HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\n\r\n"
            await stream.send_all(head.encode())
            data = b""
            while b'"type"' not in data:
                data += await stream.receive_some()
            line = next(line for line in data.split(b"\r\n") if line.startswith(b'{"type"'))
            event = json.loads(line)
            assert (event["type"], event["object"]["kind"]) == ("ADDED", kind)


def test_what_a_client_takes() -> None:
    assert form(None).media == form("*/*").media == "application/json"
    assert form("application/vnd.kubernetes.protobuf").media == "application/json"
    assert form("application/json;q=0.1, application/yaml").media == "application/yaml"
    assert form("application/json;as=Table;v=v1;g=meta.k8s.io, application/json", LIST_VIEWS).as_ == "Table"
    assert form("application/json;as=Picture;v=v1;g=meta.k8s.io, application/json", LIST_VIEWS).as_ == ""
    for refused in ("application/json;as=Table;v=v9;g=meta.k8s.io", "image/png", "application/json;q=0"):
        with pytest.raises(NotAcceptable):
            form(refused, LIST_VIEWS)


def test_ages() -> None:
    told = {0: "0s", 119: "119s", 120: "2m", 150: "2m30s", 600: "10m", 10799: "179m", 10800: "3h", 11000: "3h3m"}
    told |= {30000: "8h", 172799: "47h", 172800: "2d", 180000: "2d2h", 800000: "9d", 86400 * 800: "2y70d"}
    assert {seconds: human(seconds) for seconds in told} == told


UNKNOWN: dict[str, Any] = {**config_map("a", x="1"), "dta": {}, "metadata": {"name": "a", "lables": {}}}


async def test_field_validation(served: Daemon) -> None:
    body = json.dumps(UNKNOWN).encode()
    kind = {"content_type": "application/json"}
    status, _, text = await answer(served, "POST", f"{MAPS}?fieldValidation=Strict", body, **kind)
    message = json.loads(text)["message"]
    assert (status, 'strict decoding error: unknown field "' in message) == (400, True)
    assert 'unknown field "metadata.lables"' in message
    status, headers, text = await answer(served, "POST", f"{MAPS}?fieldValidation=Ignore&dryRun=All", body, **kind)
    assert (status, "warning" in headers, "dta" in json.loads(text)) == (201, False, False)
    status, headers, _ = await answer(served, "POST", f"{MAPS}?dryRun=All", body, **kind)
    assert (status, headers["warning"][:23]) == (201, '299 - "unknown field \\"')
    twice = b'{"metadata": {"name": "b"}, "data": {"k": "1", "k": "2"}}'
    status, headers, text = await answer(served, "POST", MAPS, twice, **kind)
    assert (status, json.loads(text)["data"], headers["warning"]) == (
        201,
        {"k": "2"},
        '299 - "duplicate field \\"data.k\\""',
    )
    status, _, text = await answer(served, "PUT", f"{MAPS}/b?fieldValidation=Strict", twice, **kind)
    assert (status, 'duplicate field "data.k"' in json.loads(text)["message"]) == (400, True)


async def test_what_kubernetes_has_and_we_have_not_is_never_dropped(served: Daemon) -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"runtimeClassName": "x", "containers": [{"name": "a", "image": "b"}]}}
    for level in ("Strict", "Warn", "Ignore"):
        path = f"/api/v1/namespaces/default/pods?fieldValidation={level}"
        status, error = await served.request("POST", path, pod)
        assert (status, "not supported" in error["message"]) == (422, True)
