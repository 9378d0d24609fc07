"""The Compose project in scope as the daemon has it: its Stack, and its services under the names that people type."""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from orchestr.api.errors import Conflict, NotFound
from orchestr.api.labels import SERVICE
from orchestr.cli import context
from orchestr.cli.errors import Failed
from orchestr.client.paths import path
from orchestr.client.sync import Client

Object = Mapping[str, Any]


class Project(NamedTuple):
    client: Client
    namespace: str
    stack: Object

    @property
    def services(self) -> Mapping[str, Object]:
        """By their names in the Compose file."""
        found: Mapping[str, Object] = self.stack["spec"].get("services") or {}
        return found

    @property
    def stopped(self) -> frozenset[str]:
        return frozenset(self.stack["spec"].get("stopped") or ())

    @property
    def rows(self) -> Mapping[str, Object]:
        """What the status says of each service."""
        return {row["name"]: row for row in (self.stack.get("status") or {}).get("services") or []}

    @property
    def labels(self) -> Mapping[str, str]:
        """Name in the Compose file -> name of the objects."""
        from orchestr.manifest.compose.names import labels

        return labels(self.services)

    def pods(self, names: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Those of some services, or of all, in order of service and age."""
        order = {label: index for index, label in enumerate(self.labels.values())}
        wanted = order.keys() if names is None else {self.labels[name] for name in names}
        found = [pod for pod in self.client.items(path("pods", self.namespace)) if service_of(pod) in wanted]
        return sorted(found, key=lambda pod: (order[service_of(pod)], *_age(pod)))

    @property
    def names(self) -> Mapping[str, str]:
        """Name of the objects -> name in the Compose file."""
        return {label: name for name, label in self.labels.items()}

    def again(self) -> "Project":
        return self._replace(stack=self.client.get(place(self.namespace)))


def _age(pod: Object) -> tuple[str, str]:
    return pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]


def service_of(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(SERVICE, ""))


def place(namespace: str) -> str:
    """A project's Stack has the name of its namespace."""
    return path("stacks", namespace, namespace, group="orchestr.dev")


def seek(client: Client, namespace: str) -> Project | None:
    try:
        return Project(client, namespace, client.get(place(namespace)))
    except NotFound:
        return None


def find(args: argparse.Namespace) -> Project:
    """The project that the command line means. Failed when nothing of it is there."""
    client, namespace = context.client(args), context.namespace(args)
    found = seek(client, namespace)
    if found is None:
        raise Failed(f"orch {args.called}: no project {namespace} is here (orch up makes it; orch ls shows which are)")
    return found


def chosen(project: Project, words: Sequence[str]) -> list[str]:
    """The services that are named, all when none is. Failed names those that there are."""
    by_name = {**project.names, **{name: name for name in project.services}}
    return named(words, by_name, f"project {project.namespace}") or list(project.services)


def named(words: Sequence[str], there: Mapping[str, str], where: str) -> list[str]:
    for word in words:
        if word not in there:
            raise Failed(f"orch: no service {word!r} in {where} (there are: {', '.join(sorted(set(there.values())))})")
    return list(dict.fromkeys(there[word] for word in words))


def change(project: Project, spec: Callable[[Object], Mapping[str, Any]]) -> Project:
    """Changes the Stack by what `spec` makes of its spec (a merge patch, {} for nothing); again when it changed
    meanwhile."""
    while True:
        patch = spec(project.stack["spec"])
        if not patch:
            return project
        version = project.stack["metadata"]["resourceVersion"]
        try:
            body = {"metadata": {"resourceVersion": version}, "spec": patch}
            return project._replace(stack=project.client.patch(place(project.namespace), body))
        except Conflict:
            project = project.again()


def mark(project: Project, *, stopped: Iterable[str] = (), started: Iterable[str] = ()) -> Project:
    """Writes which services are to have no pods."""
    more, less = set(stopped), set(started)

    def patch(spec: Object) -> Mapping[str, Any]:
        before = set(spec.get("stopped") or ())
        after = (before | more) - less
        return {} if after == before else {"stopped": sorted(after) or None}

    return change(project, patch)
