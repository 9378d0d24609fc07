"""Ingress: checked and kept as Kubernetes does, given the default class, with a word where nothing will route it."""

from typing import Any

import pytest

from tests.server.daemon import Daemon

PATH = "/apis/networking.k8s.io/v1/namespaces/default/ingresses"
CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"
BACKEND = {"service": {"name": "web", "port": {"number": 80}}}
ROUTE = {"path": "/", "pathType": "Prefix", "backend": BACKEND}


def ingress(name: str = "a", annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    spec = spec or {"rules": [{"host": "*.example.org", "http": {"paths": [ROUTE]}}], "tls": [{"secretName": "cert"}]}
    metadata = {"name": name, "annotations": annotations or {}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}


def ingress_class(name: str, controller: str = "example.org/router", default: bool = False) -> dict[str, Any]:
    marks = {"ingressclass.kubernetes.io/is-default-class": "true"} if default else {}
    spec = {"controller": controller} if controller else {}
    metadata = {"name": name, "annotations": marks}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": metadata, "spec": spec}


async def test_it_is_kept_as_written_with_its_status(served: Daemon) -> None:
    status, made = await served.request("POST", PATH, ingress())
    assert (status, made["spec"]) == (201, ingress()["spec"])
    assert made["status"] == {"loadBalancer": {}}
    told = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    status, told_back = await served.request("PUT", f"{PATH}/a/status", {**made, "status": told})
    assert (status, told_back["status"], told_back["metadata"]["generation"]) == (200, told, 1)


def path(**changes: Any) -> dict[str, Any]:
    return {"rules": [{"http": {"paths": [{**ROUTE, **changes}]}}]}


WRONG = [
    ({"tls": []}, "spec"),
    ({"defaultBackend": {}}, "spec.defaultBackend"),
    ({"defaultBackend": {"service": {"name": "web"}}}, "spec.defaultBackend"),
    ({"defaultBackend": {"service": {"name": "web", "port": {"name": "x", "number": 1}}}}, "spec.defaultBackend"),
    ({"defaultBackend": {**BACKEND, "resource": {"kind": "X", "name": "x"}}}, "spec.defaultBackend"),
    ({"rules": [{"host": "192.0.2.1"}]}, "spec.rules[0].host"),
    ({"rules": [{"host": "a.*.org"}]}, "spec.rules[0].host"),
    ({"rules": [{"http": {"paths": []}}]}, "spec.rules[0].http.paths"),
    (path(pathType="Regex"), "spec.rules[0].http.paths[0].pathType"),
    (path(path="here"), "spec.rules[0].http.paths[0].path"),
    (path(path="/a/../b"), "spec.rules[0].http.paths[0].path"),
    ({**path(), "tls": [{"hosts": ["a_b"]}]}, "spec.tls[0].hosts[0]"),
    ({**path(), "ingressClassName": "Not a name"}, "spec.ingressClassName"),
]


@pytest.mark.parametrize(("spec", "where"), WRONG, ids=[f"{i}-{where}" for i, (_, where) in enumerate(WRONG)])
async def test_refused(served: Daemon, spec: dict[str, Any], where: str) -> None:
    status, answer = await served.request("POST", PATH, ingress(**spec))
    assert status == 422
    assert where in {cause["field"] for cause in answer["details"]["causes"]}, answer


async def test_a_new_one_gets_the_youngest_default_class(served: Daemon) -> None:
    _, made = await served.request("POST", PATH, ingress())
    assert "ingressClassName" not in made["spec"]
    for name in ("plain", "chosen"):
        await served.request("POST", CLASSES, ingress_class(name, default=name == "chosen"))
    _, made = await served.request("POST", PATH, ingress("b"))
    assert made["spec"]["ingressClassName"] == "chosen"
    _, made = await served.request("POST", PATH, ingress("c", ingressClassName="plain", defaultBackend=BACKEND))
    assert made["spec"]["ingressClassName"] == "plain"
    old = {"kubernetes.io/ingress.class": "old"}
    _, made = await served.request("POST", PATH, ingress("d", old))
    assert "ingressClassName" not in made["spec"]
    status, _ = await served.request("POST", PATH, ingress("e", old, ingressClassName="x", defaultBackend=BACKEND))
    assert status == 422


async def test_a_warning_says_that_nothing_routes_it(served: Daemon) -> None:
    for name in ("with", "without"):
        await served.request("POST", CLASSES, ingress_class(name, "example.org/router" if name == "with" else ""))
    for name, said in (
        ("with", ""),
        ("without", "no IngressClass without names a controller"),
        ("none", "no IngressClass none names"),
    ):
        body = ingress(name, ingressClassName=name, defaultBackend=BACKEND)
        status, headers, _ = await served.whole("POST", PATH, body)
        assert (status, bool(said)) == (201, "warning" in headers)
        assert said in headers.get("warning", "")
    _, headers, _ = await served.whole("POST", PATH, ingress("classless"))
    assert "it has no class" in headers["warning"]


async def test_an_applied_set_says_so_too(served: Daemon) -> None:
    body = {"kind": "List", "apiVersion": "v1", "items": [ingress()]}
    _, answer = await served.request("POST", "/orchestr.dev/v1/apply?manager=orch", body)
    assert "no controller routes ingress a" in answer["items"][0]["warnings"][0]
    _, answer = await served.request("POST", "/orchestr.dev/v1/apply?manager=orch", body)
    assert (answer["items"][0]["action"], "warnings" in answer["items"][0]) == ("unchanged", False)
