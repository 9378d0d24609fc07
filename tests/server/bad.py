"""Bad requests as a table: each gets a `Status` with Kubernetes' code and reason that names what is wrong, and no more.

They are made where a ConfigMap `have` (of the field manager `one`) and a Deployment `web` are: CONFIGURATION and SPEC.
"""

# ruff: noqa: E501 - a case a line reads as a table

import json
from typing import Any, NamedTuple

MAPS, PODS = "/api/v1/namespaces/default/configmaps", "/api/v1/namespaces/default/pods"
HAVE, WEB = f"{MAPS}/have", "/apis/apps/v1/namespaces/default/deployments/web"
DEPLOYMENTS = WEB.removesuffix("/web")
JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
PATCH, MERGE = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
SPEC = {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
CONFIGURATION = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1", "long": "x" * 1000}}
STRICT = "?fieldValidation=Strict"


class Bad(NamedTuple):
    name: str
    method: str
    path: str
    media: str
    body: Any
    code: int
    reason: str
    told: str  # a part of the message
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed

    @property
    def data(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()

    def wrong(self, status: int, answer: dict[str, Any]) -> str:
        """What is not right about the answer; "" when all is."""
        named = (answer.get("kind"), answer.get("status"), answer.get("code"), answer.get("reason"))
        good = status == self.code and named == ("Status", "Failure", self.code, self.reason)
        told = answer.get("message", "")
        return "" if good and self.told in told and "Traceback" not in told else f"{self.name}: {status} {answer}"


def deployment(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "new"}, "spec": {**SPEC, **spec}}


def pod(**container: Any) -> dict[str, Any]:
    return {"metadata": {"name": "new"}, "spec": {"containers": [{"name": "c", "image": "i", **container}]}}


def nested(levels: int, value: str = '{"a":%s}') -> str:
    begin, end = value.split("%s")
    return begin * levels + "1" + end * levels


def map_of(text: str) -> str:
    return f'{{"metadata": {{"name": "new"}}, {text}}}'


CASES = (
    # bodies that are no document
    Bad("JSON cut off", "POST", MAPS, JSON, '{"metadata": {"name": "a"', 400, "BadRequest", "Expecting"),
    Bad("JSON and more", "POST", MAPS, JSON, map_of('"data": {}') + "x", 400, "BadRequest", "Extra data"),
    Bad("two documents", "POST", MAPS, JSON, map_of('"data": {}') * 2, 400, "BadRequest", "Extra data"),
    Bad("a list", "POST", MAPS, JSON, "[]", 400, "BadRequest", "array"),
    Bad("null", "PUT", HAVE, JSON, "null", 400, "BadRequest", "null"),
    Bad("no UTF-8", "POST", MAPS, JSON, b'{"a": "\xff"}', 400, "BadRequest", "UTF-8"),
    Bad("YAML cut off", "POST", MAPS, YAML, "metadata: {name: a", 400, "BadRequest", "send YAML"),
    Bad("YAML with tabs", "POST", MAPS, YAML, "metadata:\n\tname: a", 400, "BadRequest", "send YAML"),
    Bad("two YAML documents", "POST", MAPS, YAML, "metadata: {name: new}\n---\na: b", 400, "BadRequest", "single document"),
    Bad("YAML that makes objects", "POST", MAPS, YAML, "a: !!python/object:os.system {}", 400, "BadRequest", "tag"),
    Bad("a YAML bomb", "POST", MAPS, YAML, "a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]", 400, "BadRequest", "aliases"),
    Bad("a YAML key twice", "POST", MAPS + STRICT, YAML, "metadata: {name: new}\ndata: {a: x, a: y}", 400, "BadRequest", 'duplicate field "data.a"'),
    Bad("protobuf of nothing", "POST", MAPS, PROTOBUF, "{}", 400, "BadRequest", "k8s"),
    Bad("protobuf cut off", "POST", MAPS, PROTOBUF, b"k8s\0\x0a\x10\x0a\x02v1", 400, "BadRequest", "protobuf"),
    Bad("protobuf longer than it is", "POST", MAPS, PROTOBUF, b"k8s\0\x0a\xff\xff\xff\xff\x0f", 400, "BadRequest", "protobuf"),
    Bad("an empty body", "POST", MAPS, JSON, "", 400, "BadRequest", ""),
    # patches
    Bad("no media type for a patch", "PATCH", HAVE, "", "{}", 415, "UnsupportedMediaType", MERGE),
    Bad("JSON as a patch", "PATCH", HAVE, JSON, "{}", 415, "UnsupportedMediaType", MERGE),
    Bad("a patch that is no list", "PATCH", HAVE, PATCH, '{"op": "add"}', 400, "BadRequest", "list of operations"),
    Bad("an unknown operation", "PATCH", HAVE, PATCH, '[{"op": "burn", "path": "/a"}]', 400, "BadRequest", "burn"),
    Bad("an operation without a path", "PATCH", HAVE, PATCH, '[{"op": "remove"}]', 400, "BadRequest", "JSON pointer"),
    Bad("a test that fails", "PATCH", HAVE, PATCH, '[{"op": "test", "path": "/data/a", "value": "0"}]', 422, "Invalid", "/data/a"),
    Bad("a path that is not there", "PATCH", HAVE, PATCH, '[{"op": "remove", "path": "/data/z"}]', 422, "Invalid", "/data/z"),
    Bad("too many operations", "PATCH", HAVE, PATCH, [{"op": "add", "path": "/data/x", "value": "1"}] * 10_001, 413, "RequestEntityTooLarge", "10000"),
    Bad("copies of copies", "PATCH", HAVE, PATCH, [{"op": "copy", "from": "/data", "path": f"/data/c{n}"} for n in range(60)], 413, "RequestEntityTooLarge", "copies"),
    Bad("a patch of another version", "PATCH", HAVE, MERGE, '{"metadata": {"resourceVersion": "1"}}', 409, "Conflict", "has been modified"),
    Bad("a patch of another object", "PATCH", HAVE, MERGE, '{"metadata": {"uid": "x"}}', 409, "Conflict", "UID in precondition: x"),
    Bad("a patch of the name", "PATCH", HAVE, MERGE, '{"metadata": {"name": "other"}}', 400, "BadRequest", "kind or name"),
    Bad("force without apply", "PATCH", f"{HAVE}?force=true", MERGE, "{}", 422, "Invalid", "non-apply patch"),
    Bad("an unknown directive", "PATCH", WEB, STRATEGIC, {"spec": {"template": {"spec": {"containers": [{"$patch": "burn", "name": "c"}]}}}}, 400, "BadRequest", "$patch"),
    Bad("no merge key", "PATCH", WEB, STRATEGIC, {"spec": {"template": {"spec": {"containers": [{"image": "x"}]}}}}, 400, "BadRequest", "merge key: name"),
    Bad("a map for a list", "PATCH", WEB, STRATEGIC, {"spec": {"template": {"spec": {"containers": {}}}}}, 422, "Invalid", "must be a list"),
    Bad("apply without a manager", "PATCH", HAVE, APPLY, "{}", 400, "BadRequest", "fieldManager is required"),
    Bad("a conflict of managers", "PATCH", f"{HAVE}?fieldManager=two", APPLY, {"data": {"a": "2"}}, 409, "Conflict", 'conflict with "one": .data.a'),
    Bad("apply with managedFields", "PATCH", f"{HAVE}?fieldManager=two", APPLY, {"metadata": {"managedFields": [{"manager": "x"}]}}, 400, "BadRequest", "must be nil"),
    Bad("apply of another kind", "PATCH", f"{HAVE}?fieldManager=two", APPLY, {"apiVersion": "v1", "kind": "Secret"}, 400, "BadRequest", "kind"),
    Bad("a manager's name too long", "PATCH", f"{HAVE}?fieldManager={'x' * 129}", MERGE, "{}", 422, "Invalid", "128 bytes"),
    Bad("a manager's name with NUL", "PATCH", f"{HAVE}?fieldManager=a%00", MERGE, "{}", 422, "Invalid", "printable"),
    # media types
    Bad("text", "POST", MAPS, "text/plain", "{}", 415, "UnsupportedMediaType", "text/plain"),
    Bad("CBOR", "POST", MAPS, "application/cbor", "{}", 415, "UnsupportedMediaType", "application/cbor"),
    Bad("XML to delete", "DELETE", HAVE, "text/xml", "<a/>", 415, "UnsupportedMediaType", "text/xml"),
    Bad("CSV wanted", "GET", MAPS, JSON, "", 406, "NotAcceptable", "text/csv", {"accept": "text/csv"}),
    Bad("a table of no version", "GET", MAPS, JSON, "", 406, "NotAcceptable", "Table", {"accept": "application/json;as=Table;g=meta.k8s.io;v=v7"}),
    Bad("nothing wanted", "GET", MAPS, JSON, "", 406, "NotAcceptable", "", {"accept": ";;;,,,"}),
    # fields
    Bad("an unknown field", "POST", MAPS + STRICT, JSON, map_of('"dat": {}'), 400, "BadRequest", 'unknown field "dat" (did you mean data?)'),
    Bad("an unknown field deep down", "POST", DEPLOYMENTS + STRICT, JSON, deployment(replicsa=1), 400, "BadRequest", 'unknown field "spec.replicsa"'),
    Bad("a key twice", "POST", MAPS + STRICT, JSON, map_of('"data": {"a": "1", "a": "2"}'), 400, "BadRequest", 'duplicate field "data.a"'),
    Bad("a version for a new object", "POST", MAPS, JSON, {"metadata": {"name": "new", "resourceVersion": "5"}}, 400, "BadRequest", "resourceVersion should not be set"),
    Bad("no name", "POST", MAPS, JSON, "{}", 422, "Invalid", "metadata.name"),
    Bad("a name too long", "POST", MAPS, JSON, {"metadata": {"name": "a" * 254}}, 422, "Invalid", "metadata.name"),
    Bad("a label with a blank", "POST", MAPS, JSON, {"metadata": {"name": "new", "labels": {"a b": "c"}}}, 422, "Invalid", "metadata.labels[a b]"),
    Bad("a label that is a number", "POST", MAPS, JSON, {"metadata": {"name": "new", "labels": {"a": 1}}}, 422, "Invalid", "metadata.labels.a"),
    Bad("annotations of 300 kB", "POST", MAPS, JSON, {"metadata": {"name": "new", "annotations": {"a": "x" * 300_000}}}, 422, "Invalid", "metadata.annotations"),
    Bad("a finalizer with a blank", "POST", MAPS, JSON, {"metadata": {"name": "new", "finalizers": ["a b"]}}, 422, "Invalid", "metadata.finalizers[0]"),
    Bad("half an owner", "POST", MAPS, JSON, {"metadata": {"name": "new", "ownerReferences": [{"kind": "x"}]}}, 422, "Invalid", "metadata.ownerReferences[0].uid"),
    Bad("fieldsV1 that is true", "POST", MAPS, JSON, {"metadata": {"name": "new", "managedFields": [{"fieldsV1": True}]}}, 422, "Invalid", "fieldsV1"),
    # depth, numbers, text
    Bad("deep JSON", "POST", MAPS, JSON, map_of(f'"data": {nested(100_000)}'), 400, "BadRequest", "too deeply"),
    Bad("JSON a little too deep", "POST", MAPS, JSON, map_of(f'"data": {nested(300)}'), 400, "BadRequest", "too deeply"),
    Bad("deep YAML", "POST", MAPS, YAML, f"data: {nested(900, '{a: %s}')}", 400, "BadRequest", "too deeply"),
    Bad("a deep merge patch", "PATCH", HAVE, MERGE, f'{{"data": {nested(900)}}}', 400, "BadRequest", "too deeply"),
    Bad("a deep JSON patch", "PATCH", HAVE, PATCH, f'[{{"op": "add", "path": "/data/z", "value": {nested(900)}}}]', 400, "BadRequest", "too deeply"),
    Bad("a deep configuration", "PATCH", f"{HAVE}?fieldManager=m", APPLY, f'{{"data": {nested(900)}}}', 400, "BadRequest", "too deeply"),
    Bad("a number of 5000 digits", "POST", DEPLOYMENTS, JSON, json.dumps(deployment(replicas=0)).replace(" 0", " " + "9" * 5000), 400, "BadRequest", "4300 digits"),
    Bad("a number above int32", "POST", DEPLOYMENTS, JSON, deployment(replicas=2**31), 422, "Invalid", "spec.replicas"),
    Bad("a number above int64", "POST", DEPLOYMENTS, JSON, deployment(replicas=10**30), 422, "Invalid", "spec.replicas"),
    Bad("a number beyond floats", "POST", DEPLOYMENTS, JSON, json.dumps(deployment(replicas=0)).replace(" 0", " 1e400"), 422, "Invalid", "spec.replicas"),
    Bad("a fraction", "POST", DEPLOYMENTS, JSON, deployment(replicas=1.5), 422, "Invalid", "spec.replicas"),
    Bad("a negative number", "POST", DEPLOYMENTS, JSON, deployment(replicas=-1), 422, "Invalid", "spec.replicas"),
    Bad("a port", "POST", PODS, JSON, pod(ports=[{"containerPort": 70_000}]), 422, "Invalid", "containerPort"),
    Bad("a quantity", "POST", PODS, JSON, pod(resources={"limits": {"memory": "12XB"}}), 422, "Invalid", "limits.memory"),
    Bad("a huge quantity", "POST", PODS, JSON, pod(resources={"limits": {"memory": "1e999999999"}}), 422, "Invalid", "limits.memory"),
    Bad("a long quantity", "POST", PODS, JSON, pod(resources={"limits": {"memory": "9" * 100_000}}), 422, "Invalid", "limits.memory"),
    Bad("NUL in a name", "POST", MAPS, JSON, '{"metadata": {"name": "a\\u0000"}}', 422, "Invalid", "metadata.name"),
    Bad("NUL in a key", "POST", MAPS, JSON, map_of('"data": {"a\\u0000": "b"}'), 422, "Invalid", "data"),
    Bad("NUL in a variable", "POST", PODS, JSON, pod(env=[{"name": "A", "value": "a\0"}]), 422, "Invalid", "env[0].value"),
    Bad("NUL in a command", "POST", PODS, JSON, pod(command=["a", "b\0"]), 422, "Invalid", "command[1]"),
    Bad("half a character in a value", "POST", MAPS, JSON, map_of('"data": {"a": "\\ud800"}'), 400, "BadRequest", "surrogate"),
    Bad("half a character in a name", "POST", MAPS, JSON, '{"metadata": {"name": "\\ud800"}}', 400, "BadRequest", "surrogate"),
    Bad("half a character in a field", "POST", MAPS, JSON, map_of('"\\ud800": 1'), 400, "BadRequest", "surrogate"),
    Bad("half a character in a patch", "PATCH", HAVE, MERGE, '{"data": {"s": "\\udfff"}}', 400, "BadRequest", "surrogate"),
    # versions
    Bad("a stale version", "PUT", HAVE, JSON, {"metadata": {"name": "have", "resourceVersion": "1"}}, 409, "Conflict", "has been modified"),
    Bad("an object that is there", "POST", MAPS, JSON, {"metadata": {"name": "have"}}, 409, "AlreadyExists", "already exists"),
    Bad("an object that is not there", "PUT", f"{MAPS}/none", JSON, {"metadata": {"name": "none"}}, 404, "NotFound", "not found"),
    Bad("a namespace that is not there", "POST", "/api/v1/namespaces/none/configmaps", JSON, {"metadata": {"name": "a"}}, 404, "NotFound", 'namespaces "none" not found'),
    Bad("a list of the future", "GET", f"{MAPS}?resourceVersion=99999999", JSON, "", 504, "Timeout", "Too large resource version"),
    Bad("a watch of the future", "GET", f"{MAPS}?watch=1&resourceVersion=99999999", JSON, "", 410, "Expired", "Too large resource version"),
    Bad("a watch from a word", "GET", f"{MAPS}?watch=1&resourceVersion=x", JSON, "", 400, "BadRequest", "resourceVersion"),
    Bad("another uid to delete", "DELETE", HAVE, JSON, {"preconditions": {"uid": "x"}}, 409, "Conflict", "UID in precondition: x"),
    Bad("another version to delete", "DELETE", HAVE, JSON, {"preconditions": {"resourceVersion": "1"}}, 409, "Conflict", "have"),
    # queries
    Bad("an open selector", "GET", f"{PODS}?labelSelector=a+in+(", JSON, "", 400, "BadRequest", "labelSelector"),
    Bad("two words as a selector", "GET", f"{PODS}?labelSelector=a+b", JSON, "", 400, "BadRequest", "labelSelector"),
    Bad("NUL as a selector", "GET", f"{PODS}?labelSelector=%00", JSON, "", 400, "BadRequest", "labelSelector"),
    Bad("a field nobody selects by", "GET", f"{PODS}?fieldSelector=metadata.foo%3Db", JSON, "", 400, "BadRequest", "field label not supported: metadata.foo"),
    Bad("a field selector of sets", "GET", f"{PODS}?fieldSelector=status.phase+in+(a)", JSON, "", 400, "BadRequest", "field label not supported"),
    Bad("a continue token", "GET", f"{PODS}?limit=1&continue=abc", JSON, "", 400, "BadRequest", "continue"),
    Bad("a continue token of bytes", "GET", f"{PODS}?limit=1&continue=%FF%FE", JSON, "", 400, "BadRequest", "continue"),
    Bad("a limit that is a word", "GET", f"{PODS}?limit=x", JSON, "", 400, "BadRequest", "limit"),
    Bad("a limit of 50 digits", "GET", f"{PODS}?limit={'9' * 50}", JSON, "", 400, "BadRequest", "limit"),
    Bad("a negative time", "GET", f"{PODS}?watch=1&timeoutSeconds=-1", JSON, "", 400, "BadRequest", "timeoutSeconds"),
    Bad("some dry run", "POST", f"{MAPS}?dryRun=Some", JSON, {"metadata": {"name": "new"}}, 400, "BadRequest", "dryRun"),
    Bad("a wrong level", "POST", f"{MAPS}?fieldValidation=strict", JSON, {"metadata": {"name": "new"}}, 400, "BadRequest", "fieldValidation"),
    Bad("a policy", "DELETE", f"{HAVE}?propagationPolicy=Nope", "", "", 422, "Invalid", "propagationPolicy"),
    Bad("a negative grace", "DELETE", f"{HAVE}?gracePeriodSeconds=-5", "", "", 400, "BadRequest", "gracePeriodSeconds"),
    Bad("two policies", "DELETE", HAVE, JSON, {"orphanDependents": True, "propagationPolicy": "Background"}, 422, "Invalid", "cannot be both set"),
    Bad("options of another kind", "DELETE", HAVE, JSON, {"kind": "Pod"}, 400, "BadRequest", "DeleteOptions"),
    # paths, methods and parts
    Bad("NUL in the path", "GET", f"{MAPS}/%00", "", "", 404, "NotFound", "not found"),
    Bad("no text in the path", "GET", f"{MAPS}/%ff", "", "", 404, "NotFound", "not found"),
    Bad("a way up", "GET", f"{MAPS}/../secrets", "", "", 404, "NotFound", "cannot find"),
    Bad("another method", "BREW", MAPS, "", "", 405, "MethodNotAllowed", "BREW"),
    Bad("a creation of one", "POST", HAVE, JSON, "{}", 405, "MethodNotAllowed", "POST"),
    Bad("a negative scale", "PUT", f"{WEB}/scale", JSON, {"spec": {"replicas": -1}}, 422, "Invalid", "spec.replicas"),
    Bad("a scale that is a word", "PATCH", f"{WEB}/scale", MERGE, {"spec": {"replicas": "x"}}, 422, "Invalid", "spec.replicas"),
    Bad("a status that is a word", "PATCH", f"{WEB}/status", MERGE, {"status": {"replicas": "x"}}, 422, "Invalid", "status.replicas"),
    Bad("an eviction of none", "POST", f"{PODS}/none/eviction", JSON, {"metadata": {"name": "none"}}, 404, "NotFound", "not found"),
    Bad("an eviction of a word", "POST", f"{PODS}/none/eviction", JSON, {"metadata": "none"}, 400, "BadRequest", "string"),
    Bad("a review of a list", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", JSON, {"spec": []}, 422, "Invalid", "spec"),
)  # fmt: skip
