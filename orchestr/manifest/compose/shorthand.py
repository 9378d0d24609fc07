"""Short forms -> long forms, on one file's tree with its places, so that files merge by key and not by spelling."""

import ipaddress
import re
from collections.abc import Callable, Mapping

from orchestr.manifest.compose.tree import Findings, Node, Path

Transform = Callable[[Node, Path, Findings], Node]
RANGE = re.compile(r"(\d+)(?:-(\d+))?")
FLAGS = {"ro": True, "rw": False}
QUIET = {"z", "Z", "cached", "delegated", "consistent", "nocopy"}  # see support.NO_EFFECT
PROPAGATION = {"private", "rprivate", "slave", "rslave", "shared", "rshared"}
ONE_BY_ONE = "publishing on a port that is chosen at start"


def canonical(root: Node, findings: Findings) -> None:
    """Rewrites all short forms of the file in place."""
    for name, service in (root.get("services") or root.like({})).items():
        for key, child in service.items():
            transform = TRANSFORMS.get(key)
            if transform is not None and child.data is not None:
                service.data[key] = transform(child, ("services", name, key), findings)
        deploy = service.get("deploy")
        if deploy and (labels := deploy.get("labels")):
            deploy.data["labels"] = pairs(labels, ("services", name, "deploy", "labels"), findings)
    for name, volume in (root.get("volumes") or root.like({})).items():
        if labels := volume.get("labels"):
            volume.data["labels"] = pairs(labels, ("volumes", name, "labels"), findings)


def pairs(node: Node, path: Path, findings: Findings) -> Node:
    """`[A=b, C]` -> `{A: b, C: null}`"""
    if not isinstance(node.data, list):
        return node
    found: dict[str, Node] = {}
    for item in node.list():
        name, equals, value = str(item.data).partition("=")
        found[name] = item.like(value if equals else None)
    return node.like(found)


def strings(node: Node, path: Path, findings: Findings) -> Node:
    """A single string as a list of one."""
    return node.like([node]) if not isinstance(node.data, list) else node


def _each(one: Transform) -> Transform:
    def all_of(node: Node, path: Path, findings: Findings) -> Node:
        return node.like([one(item, (*path, index), findings) for index, item in enumerate(node.list())])

    return all_of


def _named(defaults: Mapping[str, object]) -> Transform:
    """`[a, b]` -> `{a: defaults, b: defaults}`"""

    def transform(node: Node, path: Path, findings: Findings) -> Node:
        if not isinstance(node.data, list):
            return node
        return node.like({str(item.data): _map(item, defaults) if defaults else item.like(None) for item in node.data})

    return transform


def _map(node: Node, data: Mapping[str, object]) -> Node:
    return node.like({key: node.like(value) for key, value in data.items()})


def _source(node: Node, path: Path, findings: Findings) -> Node:
    return node if isinstance(node.data, dict) else _map(node, {"source": str(node.data)})


def _env_files(node: Node, path: Path, findings: Findings) -> Node:
    items = strings(node, path, findings)
    return items.like(
        [item if isinstance(item.data, dict) else _map(item, {"path": str(item.data)}) for item in items.list()]
    )


def _ports(node: Node, path: Path, findings: Findings) -> Node:
    found: list[Node] = []
    for index, item in enumerate(node.list()):
        try:
            for port in _long_port(item.plain()) if isinstance(item.data, dict) else port_forms(str(item.data)):
                found.append(_map(item, port))
        except NotImplementedError:
            findings.refuse(item.at, (*path, index), ONE_BY_ONE, "write HOST:CONTAINER")
        except ValueError as error:
            findings.error(item.at, (*path, index), str(error))
    return node.like(found)


def port_forms(text: str) -> list[dict[str, object]]:
    """`[HOST-IP:]HOST:CONTAINER[/PROTOCOL]`, with ranges, as long forms.

    Raises ValueError, and NotImplementedError where the host's port is left open.
    """
    body, _, protocol = text.partition("/")
    address, _, rest = body.rpartition("]:") if body.startswith("[") else ("", "", body)
    parts = rest.split(":")
    if address:
        parts = [address[1:], *parts]
    if len(parts) > 3 or not parts[-1]:
        raise ValueError(f"cannot read port {text!r} (write [HOST-IP:]HOST:CONTAINER, an IPv6 address in brackets)")
    if len(parts) == 1 or not parts[-2]:
        _range(parts[-1])
        raise NotImplementedError
    host_ip = ipaddress.ip_address(parts[0]).compressed if len(parts) == 3 and parts[0] else ""
    return _zip(_range(parts[-2]), _range(parts[-1]), {"host_ip": host_ip, "protocol": (protocol or "tcp").lower()})


def _zip(published: range, target: range, rest: dict[str, object]) -> list[dict[str, object]]:
    if str(rest["protocol"]) not in ("tcp", "udp"):
        raise ValueError(f"protocol {rest['protocol']!r} is not supported (use tcp or udp)")
    if len(target) == 1 < len(published):
        raise NotImplementedError
    if len(published) != len(target):
        raise ValueError(f"{len(published)} host ports for {len(target)} container ports (write ranges of one length)")
    return [{"published": host, "target": port, **rest} for host, port in zip(published, target, strict=True)]


def _long_port(port: dict[str, object]) -> list[dict[str, object]]:
    if port.get("published") in (None, "", 0, "0"):
        raise NotImplementedError
    known = {key: port[key] for key in ("name", "app_protocol") if port.get(key)}
    host_ip = str(port.get("host_ip") or "")
    rest = {"host_ip": ipaddress.ip_address(host_ip).compressed if host_ip else "",
            "protocol": str(port.get("protocol") or "tcp").lower(), **known}  # fmt: skip
    return _zip(_range(str(port["published"])), _range(str(port.get("target", ""))), rest)


def _range(text: str) -> range:
    found = RANGE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"cannot read port {text!r} (write a number, or a range as 3000-3005)")
    first, last = int(found[1]), int(found[2] or found[1])
    if not (1 <= first <= 65535 and first <= last <= 65535):
        raise ValueError(f"cannot use port {text!r} (ports are 1 to 65535, a range goes up)")
    return range(first, last + 1)


def _expose(node: Node, path: Path, findings: Findings) -> Node:
    found: list[Node] = []
    for index, item in enumerate(node.list()):
        ports, _, protocol = str(item.data).partition("/")
        try:
            forms = _zip(_range(ports), _range(ports), {"protocol": (protocol or "tcp").lower()})
        except ValueError as error:
            findings.error(item.at, (*path, index), str(error))
            continue
        found += [_map(item, {"target": form["target"], "protocol": form["protocol"]}) for form in forms]
    return node.like(found)


def _volume(node: Node, path: Path, findings: Findings) -> Node:
    if isinstance(node.data, dict):
        return node
    parts = str(node.data).split(":")
    if len(parts) > 3 or not all(parts):
        findings.error(node.at, path, f"cannot read volume {node.data!r}", "write SOURCE:TARGET or SOURCE:TARGET:ro")
        return _map(node, {"type": "volume", "target": "/"})
    if len(parts) == 1:
        return _map(node, {"type": "volume", "target": parts[0]})
    source, target, *options = parts
    bind = source[0] in "./~"
    mount: dict[str, object] = {"type": "bind" if bind else "volume", "source": source, "target": target}
    found = _map(node, mount)
    for option in options[0].split(",") if options else ():
        if option in FLAGS:
            found.data["read_only"] = node.like(FLAGS[option])
        elif option in PROPAGATION and bind:
            found.data["bind"] = _map(node, {"propagation": option})
        elif option not in QUIET:
            findings.refuse(node.at, path, f"volume option {option}", "options are ro, rw, z, Z, nocopy")
    return found


def _hosts(node: Node, path: Path, findings: Findings) -> Node:
    """`[host:ip, host=ip]` -> `{host: [ip]}`"""
    found: dict[str, Node] = {}
    for name, child in _host_pairs(node, path, findings):
        found.setdefault(name, child.like([])).data.extend(child.list() or [child])
    return node.like(found)


def _host_pairs(node: Node, path: Path, findings: Findings) -> list[tuple[str, Node]]:
    if not isinstance(node.data, list):
        return list(node.items())
    found = []
    for index, item in enumerate(node.data):
        name, separator, address = str(item.data).partition("=" if "=" in str(item.data) else ":")
        if not separator or not address:
            findings.error(item.at, (*path, index), f"cannot read extra host {item.data!r}", "write NAME=ADDRESS")
        else:
            found.append((name, item.like(address.strip("[]"))))
    return found


TRANSFORMS: Mapping[str, Transform] = {
    "annotations": pairs,
    "cap_add": strings,
    "cap_drop": strings,
    "configs": _each(_source),
    "depends_on": _named({"condition": "service_started"}),
    "env_file": _env_files,
    "environment": pairs,
    "expose": _expose,
    "extra_hosts": _hosts,
    "labels": pairs,
    "networks": _named({}),
    "ports": _ports,
    "secrets": _each(_source),
    "sysctls": pairs,
    "tmpfs": strings,
    "volumes": _each(_volume),
}
