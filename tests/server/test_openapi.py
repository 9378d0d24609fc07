"""Discovery in one document, and OpenAPI: whole, without loose ends, and with what kubectl looks for."""

import json
import re
from typing import Any

import pytest

from orchestr.server import openapiproto
from tests.server.daemon import Daemon

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


async def test_aggregated_discovery(served: Daemon) -> None:
    found: dict[str, Any] = {}
    for root in ("/api", "/apis"):
        status, answer = await served.request("GET", root, headers={"accept": AGGREGATED})
        assert (status, answer["kind"], answer["apiVersion"]) == (
            200,
            "APIGroupDiscoveryList",
            "apidiscovery.k8s.io/v2",
        )
        for group in answer["items"]:
            for version in group["versions"]:
                found |= {(group["metadata"]["name"], each["resource"]): each for each in version["resources"]}
    pods, deployments = found["", "pods"], found["apps", "deployments"]
    assert (pods["scope"], pods["singularResource"], pods["shortNames"]) == ("Namespaced", "pod", ["po"])
    assert pods["categories"] == deployments["categories"] == ["all"]
    scale = next(each for each in deployments["subresources"] if each["subresource"] == "scale")
    assert scale["responseKind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert found["", "namespaces"]["scope"] == "Cluster"


async def test_aggregated_discovery_is_kept_by_clients(served: Daemon) -> None:
    head = f"GET /apis HTTP/1.1\r\nhost: x\r\naccept: {AGGREGATED}\r\n"
    status, headers, _ = await served.raw(head.encode() + b"\r\n")
    assert (status, headers["content-type"]) == (200, AGGREGATED.split(",")[0])
    status, _, body = await served.raw(f"{head}if-none-match: {headers['etag']}\r\n\r\n".encode())
    assert (status, body) == (304, b"")


async def test_every_document_points_nowhere_else(served: Daemon) -> None:
    _, index = await served.request("GET", "/openapi/v3")
    assert {"api/v1", "apis/apps/v1", "apis/orchestr.dev/v1"} <= set(index["paths"])
    for entry in index["paths"].values():
        status, document = await served.request("GET", entry["serverRelativeURL"])
        assert (status, document["openapi"]) == (200, "3.0.0")
        pointed = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
        assert pointed <= set(document["components"]["schemas"])
        ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
        assert len(ids) == len(set(ids))
    _, whole = await served.request("GET", "/openapi/v2")
    assert set(re.findall(r'"#/definitions/([^"]+)"', json.dumps(whole))) <= set(whole["definitions"])


async def test_what_kubectl_looks_for(served: Daemon) -> None:
    _, apps = await served.request("GET", "/openapi/v3/apis/apps/v1")
    patch = apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
    containers = apps["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert (containers["x-kubernetes-patch-merge-key"], containers["x-kubernetes-patch-strategy"]) == ("name", "merge")
    _, own = await served.request("GET", "/openapi/v3/apis/orchestr.dev/v1")
    kinds = [schema.get("x-kubernetes-group-version-kind") for schema in own["components"]["schemas"].values()]
    assert [{"group": "orchestr.dev", "version": "v1", "kind": "Stack"}] in kinds


@pytest.mark.parametrize(
    ("path", "accept", "code"),
    [
        ("/openapi/v3/apis/none/v1", "*/*", 404),
        ("/openapi/v4", "*/*", 404),
    ],
)
async def test_no_such_document(served: Daemon, path: str, accept: str, code: int) -> None:
    assert (await served.request("GET", path, headers={"accept": accept}))[0] == code


async def test_version_2_in_protobuf(served: Daemon) -> None:
    """kubectl checks a file with `kind: List` by it."""
    accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    head = f"GET /openapi/v2 HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\n\r\n"
    status, headers, data = await served.raw(head.encode())
    assert (status, headers["content-type"]) == (200, accept.replace("@", "."))
    assert data.startswith(b"\x0a\x032.0")  # field 1, swagger
    assert b"io.k8s.api.apps.v1.DeploymentSpec" in data
    assert (await served.request("GET", "/openapi/v2", headers={"accept": "application/json"}))[1]["swagger"] == "2.0"


def test_schemas_in_protobuf() -> None:
    given = {"$ref": "#/definitions/a", "type": "object", "properties": {"b": {"type": "array", "items": {}}}}
    assert openapiproto.schema({"description": "d"}) == b"\x22\x01d"
    assert openapiproto.schema({"minimum": 1.0}) == b"\x49" + b"\x00" * 6 + b"\xf0?"
    assert openapiproto.schema({"additionalProperties": {"type": "string"}}) == (
        b"\xaa\x01\x0d\x0a\x0b\xb2\x01\x08\x0a\x06string"
    )
    assert openapiproto.schema(given) == (
        b"\x0a\x0f#/definitions/a\xb2\x01\x08\x0a\x06object"
        b"\xca\x01\x16\x0a\x14\x0a\x01b\x12\x0f\xb2\x01\x07\x0a\x05array\xba\x01\x02\x0a\x00"
    )
