"""What must hold between the parts of a project. Each check is a function; all findings are told at once."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from orchestr.api.composevalue import restarts
from orchestr.cycles import find_cycle, path
from orchestr.manifest.compose.reader import Reader

ANY = {"", "0.0.0.0", "::"}
Services = Mapping[str, Mapping[str, Any]]  # name -> api.stack.Service in wire form


def check(services: Services, read: Reader, inactive: set[str]) -> None:
    """`read` is the whole merged tree, `inactive` are the services that no active profile has."""
    _references(services, read)
    _dependencies(services, read, inactive)
    _cycles(services, read)
    _ports(services, read)
    _container_names(services, read)


def _at(read: Reader, name: str) -> Reader:
    return read.child("services").child(name)


def _references(services: Services, read: Reader) -> None:
    known = {kind: set(read.children(kind)) for kind in ("volumes", "networks", "secrets", "configs")}
    for name, service in services.items():
        at = _at(read, name)
        for network in set(service.get("networks", ())) - known["networks"] - {"default"}:
            at.child("networks").error(network, f"undefined network {network!r}", _known("networks", known["networks"]))
        for entry in at.entries("volumes"):
            source = entry.text("source")
            if (entry.text("type") or "volume") == "volume" and source and source not in known["volumes"]:
                entry.error("source", f"undefined volume {source!r}", _known("volumes", known["volumes"]))
        for kind in ("secrets", "configs"):
            for entry in at.entries(kind):
                if (source := entry.text("source")) and source not in known[kind]:
                    entry.error("source", f"undefined {kind[:-1]} {source!r}", _known(kind, known[kind]))


def _known(kind: str, names: set[str]) -> str:
    return f"define it under {kind}:" + (f", where there are {', '.join(sorted(names)[:8])}" if names else "")


def _dependencies(services: Services, read: Reader, inactive: set[str]) -> None:
    for name, service in services.items():
        at = _at(read, name).child("depends_on")
        for target, dependency in service.get("depends_on", {}).items():
            if target in inactive and dependency.get("required", True):
                at.error(
                    target, f"service {target!r} is in no active profile", "give --profile, or set required: false"
                )
            elif target not in services and target not in inactive:
                at.error(target, f"undefined service {target!r}", f"there are {', '.join(sorted(services)[:8])}")
            elif target in services:
                _completion(at, target, services[target], dependency)


def _completion(at: Reader, target: str, service: Mapping[str, Any], dependency: Mapping[str, Any]) -> None:
    deploy = service.get("deploy", {})
    for_ever = restarts(service.get("restart", "no"), deployed=bool({"replicas", "update_config"} & deploy.keys()))
    if dependency.get("condition") == "service_completed_successfully" and for_ever:
        at.findings.warn(
            at.at(target),
            (*at.path, target),
            f"{target} is restarted for ever and never completes",
            "set its restart: no",
        )


def _cycles(services: Services, read: Reader) -> None:
    cycle = find_cycle({name: service.get("depends_on", ()) for name, service in services.items()})
    if cycle:
        at = _at(read, cycle[0]).child("depends_on")
        at.error(cycle[1], f"services wait for each other: {path(cycle)}", "remove one of these depends_on")


def _ports(services: Services, read: Reader) -> None:
    holders: dict[tuple[int, str], list[tuple[str, Mapping[str, Any]]]] = {}
    for name, service in services.items():
        for index, port in enumerate(service.get("ports", ())):
            same = holders.setdefault((port["published"], port["protocol"]), [])
            for holder, other in same:
                if _overlap(port.get("host_ip", ""), other.get("host_ip", "")) and (holder, other) != (name, port):
                    at = _at(read, name).entries("ports")[index]
                    where = ":".join(str(part) for part in (port.get("host_ip"), port["published"]) if part)
                    at.lacking(  # of a large file mostly a few services are wanted
                        "",
                        f"port {where}/{port['protocol']} is already published by service {holder}",
                        "choose another",
                    )
                    break
            same.append((name, port))


def _overlap(first: str, second: str) -> bool:
    """`` is every address of both families, 0.0.0.0 and :: every address of theirs."""
    if first == second or "" in (first, second):
        return True
    one, two = ipaddress.ip_address(first), ipaddress.ip_address(second)
    return one.version == two.version and bool(ANY & {first, second})


def _container_names(services: Services, read: Reader) -> None:
    holders: dict[str, str] = {}
    for name, service in services.items():
        container, replicas = service.get("container_name"), service.get("deploy", {}).get("replicas", 1)
        if not container:
            continue
        at = _at(read, name)
        if replicas > 1:
            at.error("container_name", f"one name for {replicas} replicas", "remove container_name")
        if container in holders:
            at.error(
                "container_name", f"{container!r} is the name of service {holders[container]} too", "choose another"
            )
        holders[container] = name
