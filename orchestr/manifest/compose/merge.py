"""Several files as one: later ones change earlier ones by Compose's rules (compose-spec, "Merge").

Mappings merge key by key, lists are appended to, anything else is replaced. Commands are replaced whole; ports,
volumes, secrets and configs are told apart by what they are for, and entries for the same thing are merged.
`!override` replaces what the earlier file had, `!reset` removes it.
"""

from collections.abc import Callable, Mapping

from orchestr.manifest.compose.tree import OVERRIDE, RESET, Node

WHOLE = {("services", "*", "command"), ("services", "*", "entrypoint"), ("services", "*", "healthcheck", "test")}
TAGS = frozenset((RESET, OVERRIDE))


def _port(entry: Node) -> object:
    return tuple(_text(entry, key) for key in ("host_ip", "target", "published", "protocol"))


def _value(entry: Node) -> object:
    return repr(entry.plain())


def _target(entry: Node) -> object:
    return _text(entry, "target") or _text(entry, "source")


def _text(entry: Node, key: str) -> str:
    child = entry.get(key)
    return "" if child is None else str(child.data)


UNIQUE: Mapping[tuple[str, ...], Callable[[Node], object]] = {
    ("services", "*", "ports"): _port,
    ("services", "*", "volumes"): lambda entry: _text(entry, "target"),
    ("services", "*", "secrets"): _target,
    ("services", "*", "configs"): _target,
}


def merge(base: Node, over: Node, path: tuple[str, ...] = ()) -> Node:
    """`over` on top of `base`. Places are those of the file that had the last word."""
    if over.tag:
        return over
    if over.data is None and base.data is not None and path:
        return base  # `web:` alone changes nothing
    if path in WHOLE:
        return over
    if isinstance(base.data, dict) and isinstance(over.data, dict):
        return over.like(_mappings(base.data, over.data, path))
    if isinstance(base.data, list) and isinstance(over.data, list):
        return over.like(_lists(base.data, over.data, path))
    return over


def without_reset(node: Node) -> Node:
    """The tree without what was reset."""
    if isinstance(node.data, dict):
        return node.like({name: without_reset(child) for name, child in node.items() if child.tag != RESET})
    if isinstance(node.data, list):
        return node.like([without_reset(child) for child in node.data if child.tag != RESET])
    return node


def _mappings(base: dict[str, Node], over: dict[str, Node], path: tuple[str, ...]) -> dict[str, Node]:
    merged = dict(base)
    for name, child in over.items():
        part = "*" if len(path) == 1 else name  # below `services` stand the users' names
        merged[name] = merge(base[name], child, (*path, part)) if name in base else child
    return merged


def _lists(base: list[Node], over: list[Node], path: tuple[str, ...]) -> list[Node]:
    identity = UNIQUE.get(path, _value)
    merged = {identity(entry): entry for entry in base}
    for entry in over:
        known = merged.get(identity(entry))
        merged[identity(entry)] = merge(known, entry, (*path, "[]")) if known and path in UNIQUE else entry
    return list(merged.values())
