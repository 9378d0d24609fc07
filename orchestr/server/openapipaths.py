"""The paths of the served resources, for both versions of OpenAPI: operations with their parameters. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orchestr.server.write import SHOWN_LAST

Object = dict[str, Any]
Body = Callable[[str], Object]  # of a schema's full name: what a version of OpenAPI writes for a body

QUERIES: Mapping[str, tuple[str, str]] = {
    "pretty": ("string", "Has no effect; answers are compact."),
    "dryRun": ("string", "All: validate and answer, and store nothing."),
    "fieldManager": ("string", "Who writes, for managedFields."),
    "fieldValidation": ("string", "Strict, Warn or Ignore: what happens to unknown and repeated fields."),
    "force": ("boolean", "Apply takes over fields that others own."),
    "labelSelector": ("string", "Only objects whose labels match."),
    "fieldSelector": ("string", "Only objects whose fields match."),
    "limit": ("integer", "At most so many; `continue` in the answer fetches more."),
    "continue": ("string", "Where a list in pieces goes on."),
    "resourceVersion": ("string", "The version from which to list or watch."),
    "resourceVersionMatch": ("string", "NotOlderThan or Exact."),
    "sendInitialEvents": ("boolean", "A watch begins with what exists, and says when that was all."),
    "allowWatchBookmarks": ("boolean", "Events of type BOOKMARK may come."),
    "timeoutSeconds": ("integer", "The watch ends after so long."),
    "watch": ("boolean", "Answer with changes as they come."),
    "gracePeriodSeconds": ("integer", "Seconds before a pod is killed."),
    "orphanDependents": ("boolean", "Leave what the object owns; use propagationPolicy."),
    "propagationPolicy": ("string", "Orphan, Background or Foreground."),
}
WRITES = ("pretty", "dryRun", "fieldManager", "fieldValidation")
LISTS = (
    "pretty", "labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch",
    "sendInitialEvents", "allowWatchBookmarks", "timeoutSeconds", "watch",
)  # fmt: skip
DELETES = ("pretty", "dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
ACTIONS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    # verb -> method, Kubernetes' name of the action, query parameters
    "get": ("get", "get", ("pretty",)),
    "list": ("get", "list", LISTS),
    "create": ("post", "post", WRITES),
    "update": ("put", "put", WRITES),
    "patch": ("patch", "patch", (*WRITES, "force")),
    "delete": ("delete", "delete", DELETES),
    "deletecollection": ("delete", "deletecollection", (*LISTS[:-1], *DELETES)),
}
OF_COLLECTION = ("list", "create", "deletecollection")
STATUS = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
PATCH, PATCH_OF_OURS = "patch", "patch of a kind that is not Kubernetes'"  # what a Body is asked for


def parameter(name: str, where: str, type_: str, text: str, *, flat: bool) -> Object:
    """A parameter; `flat` as OpenAPI 2 writes it."""
    found: Object = {"name": name, "in": where, "description": text}
    if where == "path":
        found["required"] = True
    return found | ({"type": type_, "uniqueItems": True} if flat else {"schema": {"type": type_}})


def operations(
    resource: Mapping[str, Any], group: str, version: str, schema: str, body: Body, answer: Body, *, flat: bool
) -> Iterable[tuple[str, str, Object]]:
    """(path below the group version's, method, operation) for an APIResource of discovery."""
    plural, _, sub = str(resource["name"]).partition("/")
    spaces = ["namespaces/{namespace}/"] if resource["namespaced"] else [""]
    for verb in resource["verbs"]:
        if verb not in ACTIONS:
            continue
        method, action, query = ACTIONS[verb]
        collection = verb in OF_COLLECTION and not sub
        tail = plural if collection else f"{plural}/{{name}}" + (f"/{sub}" if sub else "")
        anywhere = [""] if verb == "list" and resource["namespaced"] else []
        for space in [*spaces, *anywhere]:
            path = space + tail
            words = [("namespace", "The namespace.")] if space else []
            words += [("name", f"The name of the {resource['kind']}.")] if not collection else []
            parameters = [parameter(name, "path", "string", text, flat=flat) for name, text in words]
            parameters += [parameter(name, "query", *QUERIES[name], flat=flat) for name in query]
            kind = {
                "group": resource.get("group", group),
                "version": resource.get("version", version),
                "kind": resource["kind"],
            }
            shown = _shown(verb, schema, (kind["group"], kind["kind"]))
            operation = {
                "description": f"{verb} {'the ' + sub + ' of ' if sub else ''}{resource['kind']}",
                "operationId": f"{verb}_{group}_{version}_{path}".replace("/", "_").translate({123: None, 125: None}),
                "tags": [f"{group or 'core'}_{version}"],
                "parameters": parameters,
                "responses": _responses(verb, answer(shown)),
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": kind,
            }
            yield path, method, _with_body(operation, verb, schema, body, flat=flat)


def _shown(verb: str, schema: str, kind: tuple[str, str]) -> str:
    if verb == "deletecollection" or (verb == "delete" and kind not in SHOWN_LAST):
        return STATUS
    return schema + ("List" if verb == "list" else "")


def _responses(verb: str, answer: Object) -> Object:
    codes = {"200": "OK"} | ({"201": "Created"} if verb in ("create", "update", "patch") else {})
    codes |= {"202": "Accepted"} if verb == "delete" else {}
    return {code: {"description": text, **answer} for code, text in codes.items()}


def _with_body(operation: Object, verb: str, schema: str, body: Body, *, flat: bool) -> Object:
    if verb in ("create", "update"):
        sent, required = body(schema), True
    elif verb == "patch":
        sent, required = body(PATCH_OF_OURS if _ours(schema) else PATCH), True
    elif verb in ("delete", "deletecollection"):
        sent, required = body("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"), False
    else:
        return operation
    if not flat:
        return {**operation, "requestBody": {**sent, **({"required": True} if required else {})}}
    whole = {"name": "body", "in": "body", **sent, **({"required": True} if required else {})}
    found = {**operation, "parameters": [*operation["parameters"], whole]}
    return {**found, "consumes": patches(ours=_ours(schema))} if verb == "patch" else found


def _ours(schema: str) -> bool:
    return not schema.startswith("io.k8s.")


def patches(*, ours: bool) -> list[str]:
    """The patches that a kind takes: only Kubernetes' own have lists that merge strategically."""
    return [media for media in PATCHES if not (ours and "strategic" in media)]
