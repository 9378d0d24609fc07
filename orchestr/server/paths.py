"""A request's path, read as Kubernetes reads it: which resource, which object, which part of it. Pure."""

from typing import NamedTuple

from orchestr.api.errors import NotFound

SUBRESOURCES_OF_NAMESPACES = ("status", "finalize")


class Target(NamedTuple):
    """/apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL/NAME/SUB; "" where the path has none."""

    group: str
    version: str
    namespace: str
    plural: str
    name: str
    sub: str


def unknown(path: str) -> NotFound:
    return NotFound(f"cannot find {path}: the server does not serve this path (see /api and /apis for what there is)")


def target(path: str) -> Target:
    """Of a path below /api or /apis that names a resource. NotFound when it cannot be one."""
    parts = path.strip("/").split("/")
    if "" in parts or len(parts) < (3 if parts[0] == "api" else 4):
        raise unknown(path)
    (group, version), rest = (("", parts[1]), parts[2:]) if parts[0] == "api" else (parts[1:3], parts[3:])
    namespace = ""
    # /namespaces/NAME and /namespaces/NAME/status are the Namespace itself; anything else after NAME lives inside it.
    if rest[0] == "namespaces" and len(rest) > 2 and not (len(rest) == 3 and rest[2] in SUBRESOURCES_OF_NAMESPACES):
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3:
        raise unknown(path)
    plural, name, sub = (*rest, "", "")[:3]
    return Target(group, version, namespace, plural, name, sub)
