"""What a server serves: each kind with its path, in two requests (aggregated discovery) or one a group version."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestr.client.paths import path

if TYPE_CHECKING:
    from orchestr.client.sync import Client

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


class Resource(NamedTuple):
    kind: str
    plural: str
    group: str
    version: str
    namespaced: bool
    short: tuple[str, ...]

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "") -> str:
        return path(self.plural, (self.namespaced and namespace) or None, name, group=self.group, version=self.version)


def resources(client: "Client") -> list[Resource]:
    """In the server's order of preference: of each kind the preferred version first. No sub-resources."""
    found: list[Resource] = []
    for root in ("/api", "/apis"):
        answer = client.get(root, accept=AGGREGATED)
        found += _aggregated(answer) if answer.get("kind") == "APIGroupDiscoveryList" else _listed(client, answer)
    return found


def _aggregated(answer: Mapping[str, Any]) -> Iterator[Resource]:
    for group in answer.get("items") or []:
        name = (group.get("metadata") or {}).get("name") or ""
        for version in group.get("versions") or []:
            for each in version.get("resources") or []:
                kind = (each.get("responseKind") or {}).get("kind") or ""
                short = tuple(each.get("shortNames") or ())
                yield Resource(kind, each["resource"], name, version["version"], each["scope"] == "Namespaced", short)


def _listed(client: "Client", answer: Mapping[str, Any]) -> Iterator[Resource]:
    """Of an APIVersions or APIGroupList: servers before 1.27."""
    from orchestr.api.errors import ApiError

    versions = [("", version) for version in answer.get("versions") or []]
    for group in answer.get("groups") or []:
        versions += [(group["name"], each["version"]) for each in group["versions"]]
    for group, version in versions:
        try:
            listed = client.get(f"/apis/{group}/{version}" if group else f"/api/{version}")
        except ApiError:  # an extension whose server is down hides its own kinds, no others
            continue
        for each in listed.get("resources") or []:
            if "/" not in each["name"]:
                short = tuple(each.get("shortNames") or ())
                yield Resource(each["kind"], each["name"], group, version, bool(each["namespaced"]), short)
