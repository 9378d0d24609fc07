"""What a request wants, as authorisation sees it: Kubernetes' RequestInfo. Pure."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from orchestr.api.errors import Forbidden, NotFound
from orchestr.server.paths import Target, target
from orchestr.server.query import FALSE

VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
COLLECTION = {"GET": "list", "HEAD": "list", "DELETE": "deletecollection"}
NAME_FIELD = re.compile(r"(?:^|,)metadata\.name==?([^,]+)(?:,|$)")


class Attributes(NamedTuple):
    """A resource, or with `path` a URL that is none."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    sub: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def part(self) -> str:
        """RESOURCE or RESOURCE/SUB, as rules name it."""
        return f"{self.resource}/{self.sub}" if self.sub else self.resource


def attributes(method: str, path: str, query: Mapping[str, str]) -> Attributes:
    """Of an HTTP request. A path that names no resource is its own attribute."""
    where = _target(path)
    if where is None:
        return Attributes(VERBS.get(method, method.lower()), path=path)
    verb, name = VERBS.get(method, method.lower()), where.name
    if not name:
        verb = COLLECTION.get(method, verb)
        if verb in ("list", "deletecollection") and (field := NAME_FIELD.search(query.get("fieldSelector", ""))):
            name = field[1]
    if method == "GET" and not where.name and query.get("watch", "") not in FALSE:
        verb = "watch"
    # A namespace is looked at from inside: rights in it may name it.
    namespace = where.name if (where.group, where.plural) == ("", "namespaces") else where.namespace
    return Attributes(verb, where.group, where.version, where.plural, where.sub, namespace, name)


def _target(path: str) -> Target | None:
    parts = path.strip("/").split("/")
    if parts[0] not in ("api", "apis"):
        return None
    try:
        return target(path)
    except NotFound:
        return None


def refused(user: str, wanted: Attributes, why: str = "") -> Forbidden:
    """Forbidden in Kubernetes' words."""
    more = f": {why}" if why else ""
    if wanted.path:
        return Forbidden(f'forbidden: User "{user}" cannot {wanted.verb} path "{wanted.path}"{more}')
    where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    qualified = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
    named = f'{qualified} "{wanted.name}"' if wanted.name else qualified
    details = {"name": wanted.name, "group": wanted.group, "kind": wanted.resource}
    return Forbidden(
        f'{named} is forbidden: User "{user}" cannot {wanted.verb} resource "{wanted.part}" '
        f'in API group "{wanted.group}" {where}{more}',
        details={key: value for key, value in details.items() if value},
    )
