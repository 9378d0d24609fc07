"""One service of the merged tree as the model's Service."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from orchestr.api.composevalue import cpus, seconds, size
from orchestr.arch import arch
from orchestr.manifest.compose import host, limits, words
from orchestr.manifest.compose.environment import Environment
from orchestr.manifest.compose.mounts import file_mounts, mounts
from orchestr.manifest.compose.ports import ports
from orchestr.manifest.compose.reader import Reader, text

RESTART = re.compile(r"no|always|unless-stopped|on-failure(:\d+)?")
PULLS = ("always", "never", "missing", "if_not_present")
PROTOCOLS = ("tcp", "udp")
SIGNAL = re.compile(r"(SIG)?[A-Z0-9+-]+|\d+")
PRIVILEGES = re.compile(r"no-new-privileges(?:[:=](true|false))?")
HOST = "host-gateway"
OWN_DNS = ("", "127.0.0.11")  # Docker's own, which answers in its containers as ours does in our pods
ANY_ADDRESS = (None, "", "0.0.0.0", "::")
HOSTNAME = "orchestr.dev/hostname"  # annotation: one that is no DNS label
HOST_GATEWAY = "orchestr.dev/host-gateway"  # annotation: names of the machine in /etc/hosts
RESTARTS = {"none": "no", "any": "always", "on-failure": "on-failure"}


@dataclass(frozen=True)
class Context:
    """What a service is read against."""

    environment: Environment


def service(read: Reader, context: Context) -> dict[str, Any]:
    """api.stack.Service in wire form, what is given of it. What is wrong is in the reader's findings."""
    hostname, other_name = host.hostname(read)
    entries = _published(read)
    gateway, extra_hosts = _extra_hosts(read)
    names = {HOSTNAME: other_name, HOST_GATEWAY: ",".join(gateway)}
    found: dict[str, Any] = {
        "image": _image(read, context.environment),
        "entrypoint": _words(read, "entrypoint"),
        "command": _words(read, "command"),
        "environment": context.environment.of(read),
        "ports": [port for entry in entries if (port := _port(entry))],
        "open_ports": [port for entry in entries if (port := _open_port(entry))],
        "expose": [form for entry in read.entries("expose") for form in _expose(entry)],
        "volumes": mounts(read),
        "networks": _networks(read),
        "secrets": file_mounts(read, "secrets", "/run/secrets/"),
        "configs": file_mounts(read, "configs", "/"),
        "depends_on": {name: _dependency(use) for name, use in read.children("depends_on").items()},
        "healthcheck": _healthcheck(read.child("healthcheck")),
        "restart": _restart(read),
        "stop_signal": _signal(read),
        "stop_grace_period": read.checked("stop_grace_period", seconds),
        "deploy": _deploy(read),
        "labels": context.environment.labels(read),
        "annotations": {
            **limits.annotations(read),
            **{key: value for key, value in names.items() if value},
            **read.map("annotations"),
        },
        "cap_add": read.strings("cap_add"),
        "cap_drop": read.strings("cap_drop"),
        "extra_hosts": extra_hosts,
        "dns_search": tuple(domain for domain in read.strings("dns_search") if domain not in ("", ".")),
        "dns_opt": read.strings("dns_opt"),
        "group_add": [group for entry in read.entries("group_add") if (group := _group(entry)) is not None],
        "hostname": hostname,
        "pull_policy": _pull_policy(read),
        "shm_size": read.read("shm_size", size),
        "sysctls": read.map("sysctls"),
    }
    found |= {key: read.text(key) for key in ("working_dir", "user", "container_name")}
    found |= {key: read.flag(key) for key in ("init", "read_only", "privileged", "tty", "stdin_open")}
    found |= host.shared(read) | _security_opt(read)
    _dns(read)
    _platform(read)
    return {key: value for key, value in found.items() if value not in (None, [], {}, ())}


def _published(read: Reader) -> list[Reader]:
    """The entries of `ports` that count. On the machine's network every port is the machine's already."""
    entries = read.entries("ports")
    if entries and read.text("network_mode") == "host":
        at = (*read.path, "ports")
        read.findings.warn(read.at("ports"), at, "ports have no effect with network_mode host", "remove them")
        return []
    return entries


def _protocol(read: Reader) -> str | None:
    protocol = (read.text("protocol") or "tcp").lower()
    if protocol in PROTOCOLS:
        return protocol
    read.refuse("protocol", f"publishing {protocol}", f"use {' or '.join(PROTOCOLS)}")
    return None


def _open_port(read: Reader) -> dict[str, Any] | None:
    """A port of the machine is chosen for it, once, when the service is first applied."""
    if read.text("published") not in (None, "", "0") or not (protocol := _protocol(read)):
        return None
    if (host_ip := read.text("host_ip")) not in ANY_ADDRESS:
        read.refuse("host_ip", f"a port chosen by the machine on {host_ip} alone", "write HOST-IP:HOST:CONTAINER")
        return None
    return {"target": int(read.text("target") or 0), "protocol": protocol}


def _port(read: Reader) -> dict[str, Any] | None:
    published = read.text("published") or "0"
    if published == "0" or not (protocol := _protocol(read)):
        return None
    if not published.isdecimal():
        read.refuse("published", f"a port chosen from {published}", "write one port, or leave it to the machine")
        return None
    host_ip = read.text("host_ip")
    found: dict[str, Any] = {"published": int(published), "target": int(read.text("target") or 0), "protocol": protocol}
    if host_ip:
        found["host_ip"] = ipaddress.ip_address(host_ip).compressed
    return found | {key: value for key in ("name", "app_protocol") if (value := read.text(key))}


def _expose(read: Reader) -> list[dict[str, Any]]:
    """`80`, `80-90/udp`"""
    if read.node is None or isinstance(read.node.data, dict | list):
        return []
    _, _, protocol = text(read.node.data).partition("/")
    if (protocol := protocol.lower() or "tcp") not in PROTOCOLS:
        read.refuse("", f"exposing {protocol}", f"use {' or '.join(PROTOCOLS)}")
        return []
    return [{"target": port, "protocol": protocol} for port in read.convert(read.node, read.path, _numbers) or ()]


def _numbers(data: Any) -> range:
    return ports(text(data).partition("/")[0])


def _image(read: Reader, environment: Environment) -> str:
    """One that is built and has no name gets Compose's: PROJECT-SERVICE."""
    image = read.text("image")
    if not image and read.get("build"):
        return f"{environment.variables.get('COMPOSE_PROJECT_NAME', '')}-{read.path[-1]}"
    if not image and not any(read.get(key) for key in ("build", "provider", "extends")):
        read.error("image", "has neither an image nor a build", "add image: NAME")
    return image or "-"


def _networks(read: Reader) -> dict[str, dict[str, Any]]:
    aliases = {name: use.strings("aliases") for name, use in read.children("networks").items()} or {"default": ()}
    return {name: {"aliases": found} if found else {} for name, found in aliases.items()}


def _words(read: Reader, key: str) -> tuple[str, ...]:
    node = read.get(key)
    if node is None:
        return ()
    found = read.strings(key) if isinstance(node.data, list) else tuple(read.read(key, _split) or ())
    if found and isinstance(node.data, str) and (dropped := words.rest(node.data)):
        hint = f"write [/bin/sh, -c, ...] for a shell; Compose drops it too: {dropped[:40]}"
        read.findings.warn(node.at, (*read.path, key), "a command ends before ; & | < and >", hint)
    if not found and key == "entrypoint" and not read.get("command"):
        read.refuse(key, "an empty entrypoint without a command", "give the command to run")
    return found


def _split(data: Any) -> list[str]:
    try:
        return words.split(text(data))
    except ValueError as error:
        raise ValueError(f"cannot split command {data!r}: {error} (close the quote, or write a list)") from error


def _dependency(use: Reader) -> dict[str, Any]:
    found = {"condition": use.text("condition"), "required": use.flag("required"), "restart": use.flag("restart")}
    return {key: value for key, value in found.items() if value is not None}


def _healthcheck(read: Reader) -> dict[str, Any] | None:
    test = read.get("test")
    if read.node is None or read.flag("disable"):
        return None
    durations = ("interval", "timeout", "start_period", "start_interval")
    found: dict[str, Any] = {key: read.checked(key, seconds) for key in durations}
    if test is None:
        read.refuse("", "a healthcheck without test", "the image's own healthcheck is not known; write the test")
        return None
    command = _test(read)
    if not command:
        return None
    for key in durations:
        _rounding(read, key, found[key])
    found |= {"test": command, "retries": read.natural("retries") or None}  # 0 retries is the default, as in Docker
    return {key: value for key, value in found.items() if value is not None}


def _rounding(read: Reader, key: str, duration: str | None) -> None:
    if duration and key != "start_period" and seconds(duration) % 1 > 0:
        read.findings.warn(read.at(key), (*read.path, key), f"{duration} is rounded up to whole seconds")


def _test(read: Reader) -> tuple[str, ...]:
    """The command; empty for NONE and for a test that cannot be read."""
    node = read.get("test")
    if node is None or not isinstance(node.data, list):
        return ("/bin/sh", "-c", read.text("test") or "")
    kind, *rest = read.strings("test") or ("",)
    if kind == "CMD-SHELL" and rest:
        return ("/bin/sh", "-c", " ".join(rest))
    if kind == "CMD" and rest:
        return tuple(rest)
    if kind != "NONE":
        read.error("test", "must begin with NONE, CMD or CMD-SHELL and name a command", 'write ["CMD", "true"]')
    return ()


def _restart(read: Reader) -> str | None:
    policy = read.child("deploy").child("restart_policy")
    if policy.node is not None:
        return _swarm_restart(policy)
    restart = read.text("restart")
    if restart is not None and not RESTART.fullmatch(restart):
        read.error(
            "restart", f"{restart!r} is not allowed", "use no, always, unless-stopped, on-failure or on-failure:N"
        )
        return None
    return restart


def _swarm_restart(policy: Reader) -> str:
    condition, attempts = policy.text("condition") or "any", policy.number("max_attempts")
    if condition not in RESTARTS:
        policy.error("condition", f"{condition!r} is not allowed", f"use {', '.join(RESTARTS)}")
    if attempts is not None and condition != "on-failure":
        policy.refuse("max_attempts", f"max_attempts with condition {condition}", "it counts failures; use on-failure")
    return RESTARTS.get(condition, "no") + (f":{attempts}" if attempts and condition == "on-failure" else "")


def _signal(read: Reader) -> str | None:
    signal = read.text("stop_signal")
    if signal is None or signal.isdecimal():
        return signal
    if not SIGNAL.fullmatch(signal.upper()):
        read.error("stop_signal", f"{signal!r} is no signal", "write a name such as SIGTERM, or its number")
    return "SIG" + signal.upper().removeprefix("SIG")


def _deploy(read: Reader) -> dict[str, Any]:
    deploy = read.child("deploy")
    mode = deploy.text("mode") or "replicated"
    if mode not in ("replicated", "global"):
        deploy.refuse("mode", f"mode {mode}", "use replicated or global")
    if (endpoint := deploy.text("endpoint_mode") or "vip") != "vip":
        deploy.refuse("endpoint_mode", f"endpoint_mode {endpoint}", "a service has one address")
    found = {
        "replicas": _replicas(read, deploy),
        "resources": _resources(read, deploy.child("resources")),
        "update_config": _update_config(deploy.child("update_config")),
        "rollback_config": _update_config(deploy.child("rollback_config"), back=True),
        "labels": deploy.map("labels"),
    }
    return {key: value for key, value in found.items() if value not in (None, {})}


def _replicas(read: Reader, deploy: Reader) -> int | None:
    replicas, scale = deploy.number("replicas"), read.number("scale")
    if replicas is not None and scale is not None and replicas != scale:
        read.error("scale", f"{scale} is not deploy.replicas, {replicas}", "keep one of them")
    chosen = scale if replicas is None else replicas
    if chosen is not None and chosen < 0:
        (read if replicas is None else deploy).error(
            "scale" if replicas is None else "replicas", f"{chosen} is negative"
        )
        return None
    return chosen


def _resources(read: Reader, resources: Reader) -> dict[str, Any]:
    limits, reserved = resources.child("limits"), resources.child("reservations")
    wanted = {
        "limits": {
            "cpus": _one(read, "cpus", limits, "cpus", cpus),
            "memory": _one(read, "mem_limit", limits, "memory", size),
            "pids": _one(read, "pids_limit", limits, "pids", int),
        },
        "reservations": {
            "cpus": reserved.read("cpus", cpus),
            "memory": _one(read, "mem_reservation", reserved, "memory", size),
        },
    }
    _fits(reserved, wanted)
    return {
        group: given
        for group, values in wanted.items()
        if (given := {key: value for key, value in values.items() if value is not None})
    }


def _one(read: Reader, old: str, group: Reader, new: str, convert: Any) -> Any:
    """A limit that has two spellings: either, or both with the same value."""
    first, second = read.read(old, convert), group.read(new, convert)
    if first is not None and second is not None and first != second:
        read.error(old, f"{first} is not {'.'.join(map(str, group.path[2:]))}.{new}, {second}", "keep one of them")
    return first if second is None else second


def _fits(reserved: Reader, wanted: dict[str, dict[str, Any]]) -> None:
    for key in ("cpus", "memory"):
        limit, request = wanted["limits"][key], wanted["reservations"][key]
        if limit and request and float(request) > float(limit):
            reserved.error(key, f"reserves {request}, more than its limit {limit}", "reserve less")


def _update_config(read: Reader, *, back: bool = False) -> dict[str, Any] | None:
    if read.node is None:
        return None
    action = read.text("failure_action") or "pause"
    actions = ("pause",) if back else ("pause", "rollback")
    if action not in actions:
        what = "a rollback that fails pauses" if back else "a failed update pauses, or is rolled back"
        read.refuse("failure_action", f"failure_action {action}", what)
    found = {
        "parallelism": read.natural("parallelism"),
        "delay": read.checked("delay", seconds),
        "monitor": read.checked("monitor", seconds),
        "order": read.text("order"),
        "failure_action": action if action == "rollback" else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _security_opt(read: Reader) -> dict[str, Any]:
    """Labels mean nothing without SELinux; no AppArmor profile is set that `unconfined` could take away."""
    found: dict[str, Any] = {}
    for option in read.strings("security_opt"):
        name, _, value = option.replace(":", "=", 1).partition("=")
        if known := PRIVILEGES.fullmatch(option):
            found["no_new_privileges"] = known[1] != "false"
        elif (name, value) == ("seccomp", "unconfined"):
            found["seccomp_unconfined"] = True
        elif name != "label" and (name, value) != ("apparmor", "unconfined"):
            hint = "no-new-privileges, seccomp=unconfined, apparmor=unconfined and label can be set"
            read.refuse("security_opt", f"security_opt {option}", hint)
    return found


def _extra_hosts(read: Reader) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """(names of the machine as its pods see it, names with addresses)"""
    found: dict[str, tuple[str, ...]] = {}
    gateway: list[str] = []
    hosts = read.child("extra_hosts")
    for name in hosts.node.data if hosts.node and isinstance(hosts.node.data, dict) else ():
        addresses = hosts.strings(name)
        for address in addresses:
            if address != HOST and not _is_address(address):
                hosts.error(name, f"{address!r} is no IP address", f"write NAME=ADDRESS, or NAME={HOST}")
        if HOST in addresses:
            gateway.append(name)
        if kept := tuple(address for address in addresses if address != HOST):
            found[name] = kept
    return gateway, found


def _group(read: Reader) -> int | None:
    group = text(read.node.data) if read.node is not None else ""
    if group.isdecimal():
        return int(group)
    read.refuse("", f"group {group}", "write its number")
    return None


def _dns(read: Reader) -> None:
    servers = [server for server in read.strings("dns") if server not in OWN_DNS]
    if servers:
        read.refuse("dns", f"dns {', '.join(servers)}", "the daemon asks the machine's own servers; set them there")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _pull_policy(read: Reader) -> str | None:
    policy = read.text("pull_policy")
    if policy == "build" and read.get("build"):
        return None
    if policy is not None and policy not in PULLS:
        read.refuse("pull_policy", f"pull_policy {policy}", f"use {', '.join(PULLS)}")
        return None
    return policy


def _platform(read: Reader) -> None:
    wanted = read.text("platform")
    here = arch()
    if wanted and wanted.lower() not in (here, f"linux/{here}", f"linux/{here}/v8" if here == "arm64" else ""):
        read.refuse("platform", f"platform {wanted}", f"this machine is linux/{here}")
