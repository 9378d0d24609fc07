"""Short forms -> long forms, on one file's tree with its places, so that files merge by key and not by spelling.

The long forms are Compose's own: what `docker compose config` prints. What orch makes of them is service.py's.
"""

from collections.abc import Callable, Mapping

from orchestr.manifest.compose.ports import long_ports
from orchestr.manifest.compose.tree import Findings, Node, Path
from orchestr.manifest.compose.volumes import long_volume

Transform = Callable[[Node, Path, Findings], Node]


def canonical(root: Node, findings: Findings) -> None:
    """Rewrites all short forms of the file in place."""
    for name, service in _children(root, "services"):
        canonical_service(service, name, findings)
    for kind in ("volumes", "networks", "secrets", "configs"):
        for name, entry in _children(root, kind):
            _rewrite(entry, OTHERS, (kind, name), findings)
            _external(entry)


def canonical_service(service: Node, name: str, findings: Findings) -> None:
    at: Path = ("services", name)
    _rewrite(service, TRANSFORMS, at, findings)
    if (build := service.get("build")) is not None and isinstance(build.data, dict):
        build.data.setdefault("context", Node(".", build.at, build.key))
    for key, transforms in (("build", BUILD), ("deploy", OTHERS)):
        if (child := service.get(key)) is not None:
            _rewrite(child, transforms, (*at, key), findings)


def _children(root: Node, key: str) -> list[tuple[str, Node]]:
    child = root.get(key)
    return list(child.items()) if child is not None else []


def _rewrite(node: Node, transforms: "Mapping[str, Transform]", path: Path, findings: Findings) -> None:
    for key, child in node.items():
        transform = transforms.get(key)
        if transform is not None and child.data is not None:
            changed = transform(child, (*path, key), findings)
            changed.tag = child.tag
            node.data[key] = changed


def _external(entry: Node) -> None:
    """`external: {name: x}`, the form of old files -> `external: true` and `name: x`."""
    external = entry.get("external")
    if external is not None and isinstance(external.data, dict):
        if (named := external.get("name")) is not None:
            entry.data.setdefault("name", named)
        entry.data["external"] = external.like(True)


def pairs(node: Node, path: Path, findings: Findings) -> Node:
    """`[A=b, C]` -> `{A: b, C: null}`"""
    if not isinstance(node.data, list):
        return node
    found: dict[str, Node] = {}
    for item in node.list():
        name, equals, value = str(item.data).partition("=")
        if name != name.rstrip():
            findings.error(item.at, path, f"the name {name!r} ends in a space", "remove it")
        found[name] = item.like(value if equals else None)
    return node.like(found)


def strings(node: Node, path: Path, findings: Findings) -> Node:
    """A single string as a list of one."""
    return node.like([node.like(node.data)]) if not isinstance(node.data, list) else node


def _each(one: Transform) -> Transform:
    def all_of(node: Node, path: Path, findings: Findings) -> Node:
        return node.like([one(item, (*path, index), findings) for index, item in enumerate(node.list())])

    return all_of


def _named(node: Node, path: Path, findings: Findings) -> Node:
    """`[a, b]` -> `{a: null, b: null}`"""
    return node.like({str(item.data): item.like(None) for item in node.data}) if isinstance(node.data, list) else node


def _depends_on(node: Node, path: Path, findings: Findings) -> Node:
    defaults: dict[str, object] = {"condition": "service_started", "required": True}
    if isinstance(node.data, list):
        return node.like({str(item.data): item.map(defaults) for item in node.data})
    for _, use in node.items():
        if isinstance(use.data, dict):
            use.data |= {key: use.like(value) for key, value in defaults.items() if key not in use.data}
    return node


def _key(key: str) -> Transform:
    """`x` -> `{key: x}`"""

    def transform(node: Node, path: Path, findings: Findings) -> Node:
        return node if isinstance(node.data, dict) else node.like({key: node.like(node.data)})

    return transform


def _env_files(node: Node, path: Path, findings: Findings) -> Node:
    found = _each(_key("path"))(strings(node, path, findings), path, findings)
    for item in found.list():
        item.data.setdefault("required", item.like(True))
    return found


def _device(node: Node, path: Path, findings: Findings) -> Node:
    """`SOURCE[:TARGET[:PERMISSIONS]]`"""
    if isinstance(node.data, dict):
        return node
    source, *rest = str(node.data).split(":")
    if len(rest) > 2:
        findings.error(node.at, path, f"cannot read device {node.data!r}", "write SOURCE:TARGET:rwm")
    return node.map(
        {"source": source, "target": (rest[0] if rest else "") or source, "permissions": (*rest, "", "rwm")[1] or "rwm"}
    )


def _gpus(node: Node, path: Path, findings: Findings) -> Node:
    return node if isinstance(node.data, list) else node.like([node.map({"count": "all"})])


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


OTHERS: Mapping[str, Transform] = {"labels": pairs}
BUILD: Mapping[str, Transform] = {
    "additional_contexts": pairs,
    "args": pairs,
    "cache_from": strings,
    "cache_to": strings,
    "extra_hosts": _hosts,
    "labels": pairs,
    "secrets": _each(_key("source")),
    "ssh": pairs,
}
TRANSFORMS: Mapping[str, Transform] = {
    "annotations": pairs,
    "build": _key("context"),
    "cap_add": strings,
    "cap_drop": strings,
    "configs": _each(_key("source")),
    "depends_on": _depends_on,
    "devices": _each(_device),
    "dns": strings,
    "dns_search": strings,
    "env_file": _env_files,
    "environment": pairs,
    "extends": _key("service"),
    "extra_hosts": _hosts,
    "gpus": _gpus,
    "label_file": strings,
    "labels": pairs,
    "models": _named,
    "networks": _named,
    "ports": long_ports,
    "secrets": _each(_key("source")),
    "sysctls": pairs,
    "tmpfs": strings,
    "volumes": _each(long_volume),
}
