"""What there is: /api, /apis, /version and the lists of resources, as `kubectl api-resources` reads them."""

import hashlib
import platform
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from orchestr import __version__
from orchestr.api.base import KubeObject
from orchestr.api.custom import Custom
from orchestr.api.registration import APIService
from orchestr.api.reviews import REVIEWS
from orchestr.api.scheme import served as kinds_served
from orchestr.arch import arch
from orchestr.server import content
from orchestr.server.answer import dump
from orchestr.server.paths import unknown

KUBERNETES = (1, 36)  # the release whose wire format is spoken
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
METRICS = ("metrics.k8s.io", "v1beta1")
SCALED = ("Deployment", "ReplicaSet", "StatefulSet", "ReplicationController")
ALL = (
    "Pod", "ReplicationController", "Service", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob",
    "HorizontalPodAutoscaler", "Stack",
)  # fmt: skip

Object = dict[str, Any]


def version() -> Object:
    major, minor = KUBERNETES
    machine = arch()
    return {
        "major": str(major),
        "minor": str(minor),
        "gitVersion": f"v{major}.{minor}.0+orch{__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation(),
        "platform": f"linux/{machine}",
    }


def groups() -> dict[str, list[str]]:
    """Served group versions by group, the core group as ""."""
    found: dict[str, list[str]] = {}
    kinds: Iterable[type[KubeObject]] = (*kinds_served(), *REVIEWS, APIService)
    for group, version in [*((kind.GROUP, kind.VERSION) for kind in kinds), METRICS]:
        if version not in found.setdefault(group, []):
            found[group].append(version)
    return found


def api_versions() -> Object:
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}]
    return {"kind": "APIVersions", "versions": groups()[""], "serverAddressByClientCIDRs": addresses}


def group_list() -> Object:
    named = [_group(group, versions) for group, versions in groups().items() if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": named}


def group(name: str) -> Object:
    if not name or name not in groups():
        raise unknown(f"/apis/{name}")
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, groups()[name])}


def _group(name: str, versions: Iterable[str]) -> Object:
    served = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": served, "preferredVersion": served[0]}


def resource_list(group: str, version: str) -> Object:
    group_version = f"{group}/{version}" if group else version
    if version not in groups().get(group, []):
        raise unknown(f"/apis/{group_version}" if group else f"/api/{version}")
    kinds = [kind for kind in kinds_served() if (group, version) == (kind.GROUP, kind.VERSION)]
    resources = [resource for kind in kinds for resource in _resources(kind)]
    for kind in REVIEWS:
        if (group, version) == (kind.GROUP, kind.VERSION):
            name = kind.__name__
            resources.append(_entry(kind.PLURAL, name, ("create",), singular=name.lower(), namespaced=kind.NAMESPACED))
    if (group, version) == (APIService.GROUP, APIService.VERSION):
        resources.append(_entry("apiservices", "APIService", ("get", "list"), singular="apiservice", namespaced=False))
    if (group, version) == ("", "v1"):
        resources.append(_entry("bindings", "Binding", ("create",), singular="binding"))
    if (group, version) == METRICS:
        resources.append(_entry("nodes", "NodeMetrics", ("get", "list"), namespaced=False))
        resources.append(_entry("pods", "PodMetrics", ("get", "list"), singular="pod"))
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def aggregated(request: Request, root: str) -> Response | None:
    """/api or /apis with everything below it in one document, for a client that prefers that; None for another."""
    accept = request.headers.get("accept") or ""
    if root not in ("api", "apis") or "APIGroupDiscoveryList" not in accept:
        return None
    wanted = content.form(accept, content.DISCOVERY_VIEWS)
    if not wanted.as_:
        return None
    found = {group: versions for group, versions in groups().items() if bool(group) is (root == "apis")}
    items = [_discovered(group, versions) for group, versions in found.items()]
    data = dump({"kind": wanted.as_, "apiVersion": wanted.api_version, "metadata": {}, "items": items})
    etag = f'"{hashlib.sha256(data).hexdigest().upper()}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"etag": etag})
    return Response(data, headers={"etag": etag, "vary": "accept", "content-type": wanted.content_type})


def _discovered(group: str, versions: Iterable[str]) -> Object:
    """apidiscovery APIGroupDiscovery."""
    shown = [{"version": version, "resources": _whole(group, version), "freshness": "Current"} for version in versions]
    return {"metadata": {"name": group, "creationTimestamp": None}, "versions": shown}


def _whole(group: str, version: str) -> list[Object]:
    """The resources of a group version, each with its sub-resources."""
    found: dict[str, Object] = {}
    for resource in resource_list(group, version)["resources"]:
        name, _, sub = resource["name"].partition("/")
        kind = {"group": resource.get("group", group), "version": resource.get("version", version)}
        common = {"responseKind": {**kind, "kind": resource["kind"]}, "verbs": resource["verbs"]}
        if sub:
            found[name].setdefault("subresources", []).append({"subresource": sub, **common})
            continue
        scope = "Namespaced" if resource["namespaced"] else "Cluster"
        optional = {key: resource[key] for key in ("shortNames", "categories") if key in resource}
        found[name] = {"resource": name, **common, "scope": scope, "singularResource": resource["singularName"]}
        found[name] |= optional
    return list(found.values())


def parts(kind: type[KubeObject]) -> dict[str, Object]:
    """The sub-resources of a kind by name."""
    name, found = kind.__name__, {}
    if "status" in kind.model_fields:
        found["status"] = _entry("status", name, ("get", "patch", "update"), namespaced=kind.NAMESPACED)
    if name in SCALED or (issubclass(kind, Custom) and kind.SCALE):
        found["scale"] = _entry("scale", "Scale", ("get", "patch", "update"), namespaced=kind.NAMESPACED) | {
            "group": "autoscaling",
            "version": "v1",
        }
    if name == "Namespace":
        found["finalize"] = _entry("finalize", name, ("update",), namespaced=False)
    if name == "ServiceAccount":
        request = {"group": "authentication.k8s.io", "version": "v1"}
        found["token"] = _entry("token", "TokenRequest", ("create",)) | request
    if name == "CertificateSigningRequest":
        found["approval"] = _entry("approval", name, ("get", "patch", "update"), namespaced=False)
    if name == "Pod":
        found["binding"] = _entry("binding", "Binding", ("create",))
        found["eviction"] = _entry("eviction", "Eviction", ("create",)) | {"group": "policy", "version": "v1"}
        for part in ("ephemeralcontainers", "resize"):
            found[part] = _entry(part, "Pod", ("get", "patch", "update"))
        found["log"] = _entry("log", name, ("get",))
        found["exec"] = _entry("exec", "PodExecOptions", ("create", "get"))
        found["attach"] = _entry("attach", "PodAttachOptions", ("create", "get"))
        found["portforward"] = _entry("portforward", "PodPortForwardOptions", ("create", "get"))
    return found


def categories(kind: type[KubeObject]) -> Iterable[str]:
    """`all` is what `kubectl get all` shows."""
    own: tuple[str, ...] = getattr(kind, "CATEGORIES", ())
    if own or issubclass(kind, Custom):
        return own
    return ("all",) if kind.__name__ in ALL else ()


def _resources(kind: type[KubeObject]) -> Iterable[Object]:
    singular = kind.SINGULAR if issubclass(kind, Custom) else kind.__name__.lower()
    entry = _entry(kind.PLURAL, kind.__name__, VERBS, singular=singular, namespaced=kind.NAMESPACED)
    optional = {"shortNames": list(kind.SHORT), "categories": list(categories(kind))}
    yield {**entry, **{key: value for key, value in optional.items() if value}}
    for name, part in parts(kind).items():
        yield {**part, "name": f"{kind.PLURAL}/{name}"}


def _entry(name: str, kind: str, verbs: Iterable[str], *, singular: str = "", namespaced: bool = True) -> Object:
    return {"name": name, "singularName": singular, "namespaced": namespaced, "kind": kind, "verbs": list(verbs)}
