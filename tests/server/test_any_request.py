"""Requests made from our own OpenAPI, with bodies that are half right: never an answer of 500 or above."""

import json
import random
from typing import Any

from tests.server.daemon import Daemon

WORDS = ["", "a", "default", "web", "1", "true", "100m", "25%", "2026-01-01T00:00:00Z", "x/y", "é", "-", "a" * 300]
PATCH_BODIES = [{}, [], {"metadata": None}, {"spec": {"$patch": "replace"}}, [{"op": "remove", "path": "/metadata"}],
                [{"op": "replace", "path": "/metadata/name", "value": 3}], {"metadata": {"$retainKeys": ["name"]}},
                {"spec": None}, {"status": 3}, {"metadata": {"labels": {"a": 1}}}, "x", None, 3]  # fmt: skip
STREAMS = ("/exec", "/attach", "/portforward", "/log", "/proxy")


class Maker:
    """Values of a schema, wrong now and then."""

    def __init__(self, schemas: dict[str, Any], chance: random.Random) -> None:
        self.schemas, self.chance = schemas, chance

    def value(self, schema: dict[str, Any], depth: int = 0) -> Any:
        pick = self.chance
        if pick.random() < 0.03:
            return pick.choice([None, 0, -1, "x", [], {}, True, 1.5, 1 << 70])
        for ref in [*schema.get("allOf", ()), schema]:
            if "$ref" in ref:
                return self.value(self.schemas[ref["$ref"].rsplit("/", 1)[-1]], depth)
        match schema.get("type"):
            case "string":
                return pick.choice(WORDS)
            case "integer":
                return pick.choice([0, 1, -1, 80, 70_000, 1 << 40])
            case "number":
                return pick.choice([0.5, 1e300])
            case "boolean":
                return pick.random() < 0.5
            case "array":
                return [self.value(schema.get("items", {}), depth + 1) for _ in range(pick.choice([0, 1, 1, 2]))]
        return self._object(schema, depth)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        pick, properties = self.chance, schema.get("properties", {})
        share = 0.9 if depth == 0 else 0.25 if depth < 6 else 0.02
        found = {
            name: self.value(part, depth + 1)
            for name, part in properties.items()
            if name in schema.get("required", ()) or pick.random() < share
        }
        if schema.get("additionalProperties"):
            found[pick.choice(WORDS)] = self.value(schema["additionalProperties"], depth + 1)
        return found


def filled(path: str, chance: random.Random) -> str:
    return path.replace("{namespace}", chance.choice(["default", "absent"])).replace(
        "{name}", chance.choice(["a", "b"])
    )


def body_of(operation: dict[str, Any], maker: Maker, chance: random.Random) -> tuple[Any, str]:
    contents = operation.get("requestBody", {}).get("content")
    if not contents:
        return None, "application/json"
    media = chance.choice([each for each in contents if "yaml" not in each] or ["application/json"])
    if "patch" in media:
        return chance.choice(PATCH_BODIES), media
    made = maker.value(contents[media]["schema"])
    if isinstance(made, dict):
        made = {name: value for name, value in made.items() if name not in ("apiVersion", "kind")}
        made["metadata"] = {"name": chance.choice(["a", "b"])}
    return made, media


async def test_no_request_is_answered_with_a_bug(served: Daemon) -> None:
    chance, failures = random.Random(5), []
    _, index = await served.request("GET", "/openapi/v3")
    for entry in index["paths"].values():
        _, document = await served.request("GET", entry["serverRelativeURL"])
        maker = Maker(document["components"]["schemas"], chance)
        for path, methods in document["paths"].items():
            if path.endswith(STREAMS):
                continue
            for method, operation in methods.items():
                for _ in range(3 if method in ("post", "put", "patch") else 1):
                    body, media = body_of(operation, maker, chance)
                    status, answer = await served.request(
                        method.upper(), filled(path, chance), json.dumps(body).encode(), {"content-type": media}
                    )
                    if status >= 500 and status != 503:  # there are no keys for tokens
                        failures.append((method, path, media, json.dumps(body)[:600], answer.get("message")))
    assert not failures, f"{len(failures)}, such as {failures[0]}"
