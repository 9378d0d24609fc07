"""Relative paths made absolute, in place: each file's own directory, or its project's, is where its paths begin."""

import os
from collections.abc import Iterator

from orchestr.manifest.compose.tree import Node

REMOTE = ("https://", "http://", "git://", "ssh://", "github.com/", "git@")


def absolute(path: str, directory: str, home: str) -> str:
    """One that is absolute stays as it is written."""
    if path == "~" or path.startswith("~/"):
        path = home + path[1:]
    return path if os.path.isabs(path) else os.path.normpath(os.path.join(directory, path))


def shown(path: str) -> str:
    """An absolute path as a person would write it here."""
    relative = os.path.relpath(path)
    return path if relative.startswith("../../..") else relative


def remote(text: str) -> bool:
    """Whether a build context or an included file is not on this machine."""
    return "://" in text or text.startswith(REMOTE)


def of_project(root: Node, directory: str, home: str) -> None:
    """All paths of a canonical file."""
    for _, service in _children(root, "services"):
        of_service(service, directory, home)
    for key in ("secrets", "configs"):
        for _, entry in _children(root, key):
            _rewrite(entry.get("file"), directory, home)
    for _, volume in _children(root, "volumes"):
        options = volume.get("driver_opts")
        if options is not None and _is(volume.get("driver"), "local") and _is(options.get("o"), "bind"):
            device = options.get("device")
            if device is not None:
                device.data = absolute(str(device.data or ""), directory, home)


def of_service(service: Node, directory: str, home: str) -> None:
    """All paths of a canonical service."""
    for node in _paths(service):
        _rewrite(node, directory, home)


def _paths(service: Node) -> Iterator[Node | None]:
    for entry in _items(service, "env_file"):
        yield entry.get("path")
    yield from _items(service, "label_file")
    for entry in _items(service, "volumes"):
        if _is(entry.get("type"), "bind"):
            yield entry.get("source")
    build, develop = service.get("build"), service.get("develop")
    if build is not None:
        extra = build.get("additional_contexts")
        for node in (build.get("context"), *(child for _, child in (extra.items() if extra else ()))):
            if node is not None and not remote(str(node.data)) and not str(node.data).startswith("service:"):
                yield node
        yield from (child for _, child in (build.get("ssh") or build.like({})).items())
    if develop is not None:
        for entry in _items(develop, "watch"):
            yield entry.get("path")


def _rewrite(node: Node | None, directory: str, home: str) -> None:
    if node is not None and isinstance(node.data, str) and node.data:
        node.data = absolute(node.data, directory, home)


def _children(root: Node, key: str) -> Iterator[tuple[str, Node]]:
    child = root.get(key)
    return child.items() if child is not None else iter(())


def _items(node: Node, key: str) -> list[Node]:
    child = node.get(key)
    return child.list() if child is not None else []


def _is(node: Node | None, value: str) -> bool:
    return node is not None and node.data == value
