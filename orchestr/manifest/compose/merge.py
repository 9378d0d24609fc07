"""Several files as one: later ones change earlier ones by Compose's rules (compose-spec, "Merge").

Mappings merge key by key, lists are appended to, anything else is replaced. Commands are replaced whole; list items
that are for the same thing (a port, a mount point, a variable) stand once, as the later file has them.
`!override` replaces what the earlier file had, `!reset` removes it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from orchestr.manifest.compose.tree import OVERRIDE, RESET, Node

SERVICE = ("services", "*")
WHOLE = {(*SERVICE, "command"), (*SERVICE, "entrypoint"), (*SERVICE, "healthcheck", "test")}
ULIMITS = (*SERVICE, "ulimits")
LOGGING = (*SERVICE, "logging")
TAGS = frozenset((RESET, OVERRIDE))


def _port(entry: Node) -> object:
    return tuple(_text(entry, key) for key in ("host_ip", "target", "published", "protocol"))


def _value(entry: Node) -> object:
    return repr(entry.plain())


def _before_equals(entry: Node) -> object:
    return str(entry.data).partition("=")[0] if not isinstance(entry.data, dict) else _value(entry)


def _target(entry: Node) -> object:
    return _text(entry, "target")


def _file(directory: str) -> Callable[[Node], object]:
    return lambda entry: _text(entry, "target") or f"{directory}{_text(entry, 'source')}"


def _text(entry: Node, key: str) -> str:
    child = entry.get(key)
    return "" if child is None else str(child.data)


UNIQUE: Mapping[tuple[str, ...], Callable[[Node], object]] = {
    (*SERVICE, "ports"): _port,
    (*SERVICE, "volumes"): _target,
    (*SERVICE, "devices"): _target,
    (*SERVICE, "secrets"): _file("/run/secrets/"),
    (*SERVICE, "configs"): _file("/"),
    (*SERVICE, "env_file"): lambda entry: _text(entry, "path"),
    **{
        (*SERVICE, key): _before_equals
        for key in ("cap_add", "cap_drop", "dns", "dns_opt", "dns_search", "links", "profiles", "tmpfs")
    },
    ("networks", "*", "ipam", "config"): lambda entry: _text(entry, "subnet"),
}


def merge(base: Node, over: Node, path: tuple[str, ...] = ()) -> Node:
    """`over` on top of `base`. Places are those of the file that had the last word."""
    if over.tag or path in WHOLE or path[:-1] == ULIMITS:
        return over
    if over.data is None and base.data is not None and path:
        return base  # `web:` alone changes nothing
    if path == LOGGING and _other_driver(base, over):
        return over
    if isinstance(base.data, dict) and isinstance(over.data, dict):
        return over.like(_mappings(base.data, over.data, path))
    if isinstance(base.data, list) and isinstance(over.data, list):
        return over.like(_lists(base.data, over.data, path))
    return over


def _other_driver(base: Node, over: Node) -> bool:
    """Options belong to a driver."""
    drivers = [_text(node, "driver") for node in (base, over)]
    return all(drivers) and drivers[0] != drivers[1]


def without_reset(node: Node) -> Node:
    """The tree without what was reset, and without the tags that said so."""
    kept: Any = node.data
    if isinstance(node.data, dict):
        kept = {name: without_reset(child) for name, child in node.items() if child.tag != RESET}
    elif isinstance(node.data, list):
        kept = [without_reset(child) for child in node.data if child.tag != RESET]
    return Node(kept, node.at, node.key, "", node.filled)


def _mappings(base: dict[str, Node], over: dict[str, Node], path: tuple[str, ...]) -> dict[str, Node]:
    merged = dict(base)
    for name, child in over.items():
        part = "*" if len(path) == 1 else name  # below `services` stand the users' names
        merged[name] = merge(base[name], child, (*path, part)) if name in base else child
    return merged


def _lists(base: list[Node], over: list[Node], path: tuple[str, ...]) -> list[Node]:
    identity = UNIQUE.get(path, _value)
    merged = {identity(entry): entry for entry in base}
    ipam = path[-1:] == ("config",)  # of a network: the same subnet is changed, not replaced
    for entry in over:
        known = merged.get(identity(entry))
        merged[identity(entry)] = merge(known, entry, (*path, "[]")) if known and ipam else entry
    return list(merged.values())
