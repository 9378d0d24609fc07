"""What `orch run` makes: one Pod, a Service where its ports or its name count, claims for its volumes. Pure.

An image is read as a Compose file with one service of it, a service of a file with the options as a further file over
it; what the compiler makes of that is the pod.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestr.api.labels import STACK
from orchestr.cli.errors import Bad
from orchestr.cli.runoptions import Service, named, told
from orchestr.cli.selection import far
from orchestr.manifest.compose.compiler import DEPENDS_ON
from orchestr.manifest.compose.pod import NETWORKS

Object = dict[str, Any]
SELF = "run"  # the service that an image is read as
FROM = "the options"  # what stands where a file's name would
RUN, ONEOFF = "orchestr.dev/run", "orchestr.dev/oneoff"
HOST = "host"  # --network of the machine itself
SECTIONS = ("volumes", "networks", "secrets", "configs")


@dataclass(frozen=True)
class Made:
    pod: Object
    service: Object | None
    claims: tuple[Object, ...]


def of_image(given: Service, networks: Sequence[str], aliases: Sequence[str], *, name: str, namespace: str) -> Made:
    """`given` has the image. Bad for what cannot be."""
    host = HOST in networks
    if host and (len(networks) > 1 or given.get("ports")):
        raise Bad(f"orch run: --network {HOST} is the machine's own network (leave the other networks and -p out)")
    _no_other(networks)
    wanted = {**given, "restart": "no", "networks": {each: {"aliases": list(aliases)} for each in networks if not host}}
    file = {
        "services": {SELF: {key: value for key, value in wanted.items() if value != {}}},
        "volumes": dict.fromkeys(named(given)),
        "networks": dict.fromkeys(wanted["networks"]),
    }
    stack = _project([FROM], SELF, json.dumps(file)).objects[-1]
    ports_of(stack, SELF)
    children = _compiled(stack)
    labels = {RUN: name, **_labels(given.get("labels", {}))}
    pod = _pod(children, SELF, name=name, namespace=namespace, labels=labels)
    if not wanted["networks"]:
        pod["metadata"]["annotations"].pop(NETWORKS, None)
    if host:
        pod["spec"]["hostNetwork"] = True
    service = _service(children, SELF, name=name, namespace=namespace, selector={RUN: name})
    needed = given.get("ports") or given.get("expose") or wanted["networks"]
    claims = tuple(_placed(each, namespace) for each in children if each["kind"] == "PersistentVolumeClaim")
    return Made(pod, service if needed else None, claims)


def _no_other(networks: Sequence[str]) -> None:
    for each in networks:
        if each in ("none", "bridge", "default") or each.startswith("container:"):
            why = {
                "none": "a pod has an address (a NetworkPolicy can forbid all traffic)",
                "bridge": "leave it out: that is what a pod is on",
                "default": "leave it out: that is what a pod is on",
            }.get(each, "a pod has its own network (orch debug runs a container in another's)")
            raise Bad(f"orch run: not supported: --network {each} ({why})")


def of_service(stack: Object, key: str, ports: Sequence[Object], *, name: str, deps: bool) -> Made:
    """One pod of a service of a Stack that has the options in it already; `ports` are what it publishes."""
    spec, meta = stack["spec"], stack["metadata"]
    alone = {**spec["services"][key], "ports": list(ports), "open_ports": [], "restart": "no"}
    children = _compiled({**stack, "spec": {**spec, "services": {**spec["services"], key: alone}}})
    own, labels = label_of(stack, key), {STACK: meta["name"], RUN: name, ONEOFF: label_of(stack, key)}
    pod = _pod(children, own, name=name, namespace=meta["namespace"], labels=labels)
    if not deps:
        pod["metadata"]["annotations"].pop(DEPENDS_ON, None)
    service = _service(children, own, name=name, namespace=meta["namespace"], selector={RUN: name})
    return Made(pod, service if ports else None, ())


def around(stack: Object, key: str, there: Mapping[str, Any] | None, *, deps: bool) -> Object | None:
    """The Stack that has what the pod needs: what is `there`, and what it lacks. None when it lacks nothing.

    A dependency that is there stays as it is; volumes, configs and the like are as the file has them now.
    """
    spec = stack["spec"]
    old = dict((there or {}).get("spec") or {})
    services = {each: spec["services"][each] for each in far(spec["services"], key)} if deps else {}
    new = {**old, "services": {**services, **(old.get("services") or {})}}
    for section in SECTIONS:
        if merged := {**(old.get(section) or {}), **(spec.get(section) or {})}:
            new[section] = merged
    return None if there is not None and new == {"services": {}, **old} else {**stack, "spec": new}


def project(files: Sequence[str], over: Mapping[str, Service], options: Mapping[str, Any]) -> Any:
    """The project of the files with `over` over its services. Bad for what the options make wrong."""
    text = json.dumps({"services": over})
    paths = [*files, FROM] if any(over.values()) else list(files)
    return _read(paths, text, {**options, "profiles": ["*"]})


def published(texts: Sequence[str]) -> list[Object]:
    """`-p` in the long form of a Stack."""
    file = {"services": {SELF: {"image": SELF, "ports": list(texts)}}}
    return ports_of(_project([FROM], SELF, json.dumps(file)).objects[-1], SELF)


def ports_of(stack: Object, key: str) -> list[Object]:
    """What a service publishes. Bad where the machine is to choose a port."""
    service = stack["spec"]["services"][key]
    if service.get("open_ports"):
        port = service["open_ports"][0]["target"]
        raise Bad(f"orch run: not supported: a port of the machine's own choice for {port} (write -p HOST:{port})")
    found: list[Object] = service.get("ports", [])
    return found


def _project(paths: list[str], name: str, text: str) -> Any:
    return _read(paths, text, {"name": name, "env": {"HOME": os.path.expanduser("~")}, "env_files": [os.devnull]})


def _read(paths: list[str], text: str, options: Mapping[str, Any]) -> Any:
    """A compose Project; `text` is what FROM holds, in which no variable counts."""
    from orchestr.manifest import compose
    from orchestr.manifest.compose.assembly import on_disk
    from orchestr.manifest.errors import ManifestError

    over = text.replace("$", "$$").encode()
    try:
        found = compose.project(paths, read_file=lambda path: over if path == FROM else on_disk(path), **options)
        if found.unsupported:
            raise ManifestError(found.unsupported)
    except ManifestError as error:
        raise Bad("\n".join(_worded(each) for each in error.problems)) from error
    return found


def _worded(problem: Any) -> str:
    """By the option's name where there is no file."""
    if problem.file != FROM:
        return str(problem)
    option = told(problem.field)
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"orch run: {option + ': ' if option else ''}{problem.message}{hint}"


def _compiled(stack: Object) -> list[Object]:
    from orchestr.api.scheme import decode
    from orchestr.api.stack import Stack
    from orchestr.manifest.compose import compile

    decoded = decode(stack)
    assert isinstance(decoded, Stack)
    return [each.wire() for each in compile(decoded)]


def label_of(stack: Object, key: str) -> str:
    """The name that a service has as an object."""
    from orchestr.manifest.compose.names import labels

    return labels(stack["spec"]["services"])[key]


def _one(children: Sequence[Object], kinds: tuple[str, ...], name: str) -> Object:
    return next(each for each in children if each["kind"] in kinds and each["metadata"]["name"] == name)


def _pod(children: Sequence[Object], own: str, *, name: str, namespace: str, labels: Mapping[str, str]) -> Object:
    template = _one(children, ("Deployment", "Job"), own)["spec"]["template"]
    metadata = {**template["metadata"], "name": name, "namespace": namespace, "labels": dict(labels)}
    metadata.setdefault("annotations", {})
    container = dict(template["spec"]["containers"][0])
    # Whoever is unhealthy is told as such, and goes on: what would replace it?
    container = {key: value for key, value in container.items() if key not in ("livenessProbe", "startupProbe")}
    spec = {**template["spec"], "restartPolicy": "Never", "containers": [{**container, "name": name}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _service(children: Sequence[Object], own: str, *, name: str, namespace: str, selector: Mapping[str, str]) -> Object:
    found = _placed(_one(children, ("Service",), own), namespace)
    metadata = {**found["metadata"], "name": name, "labels": dict(selector)}
    return {**found, "metadata": metadata, "spec": {**found["spec"], "selector": dict(selector)}}


def _placed(obj: Object, namespace: str) -> Object:
    """Without the labels of the Stack that it was compiled from."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "labels"}
    return {**obj, "metadata": {**metadata, "namespace": namespace}}


def _labels(given: Mapping[str, str]) -> dict[str, str]:
    """Those that can be labels of an object; all of them are in an annotation."""
    from orchestr.api.metarules import check_labels

    return {name: value for name, value in given.items() if not any(check_labels({name: value}, "labels"))}
