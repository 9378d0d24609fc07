"""New pods for workloads: a Deployment is rolled, a service that runs once runs again."""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from orchestr.cli.kinds import find
from orchestr.cli.project import Project, service_of
from orchestr.cli.view import View
from orchestr.cli.workloads import Found, target
from orchestr.client.sync import Client

STAMP = "kubectl.kubernetes.io/restartedAt"  # kubectl rollout restart writes the same
PATIENCE = 30.0  # seconds for the Stack's controller to make a Job anew


def roll(client: Client, found: Found) -> dict[str, Any]:
    """A Deployment, StatefulSet or DaemonSet: its strategy says how."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    patch = {"spec": {"template": {"metadata": {"annotations": {STAMP: f"{stamp}.{time.time_ns() % 10**9:09d}"}}}}}
    return {"kind": found[0].kind, **client.patch(target(found), patch)}


def tell(objects: Sequence[Mapping[str, Any]]) -> None:
    for obj in objects:
        print(f"{obj['kind'].lower()}/{obj['metadata']['name']} restarted", flush=True)


def rerun(client: Client, jobs: Sequence[Found]) -> list[dict[str, Any]]:
    """Jobs of a Stack, whose controller makes them anew once they are gone."""
    if not jobs:
        return []
    view = View(client, {obj["metadata"]["namespace"] for _, obj in jobs}, ["jobs"])
    before = {obj["metadata"]["uid"] for _, obj in jobs}
    for found in jobs:
        client.delete(target(found), {"propagationPolicy": "Foreground"})
    names = {(obj["metadata"]["namespace"], obj["metadata"]["name"]) for _, obj in jobs}
    end = time.monotonic() + PATIENCE + max(_grace(obj) for _, obj in jobs)
    while time.monotonic() < end:
        made = [obj for obj in view.objects["jobs"].values() if obj["metadata"]["uid"] not in before]
        made = [obj for obj in made if (obj["metadata"]["namespace"], obj["metadata"]["name"]) in names]
        if len(made) == len(names):
            return made
        view.wait(end - time.monotonic())
    return []


def _grace(job: dict[str, Any]) -> float:
    return float(job["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30))


def services(project: Project, names: Collection[str]) -> list[dict[str, Any]]:
    """The workloads of some services, made anew: what is to be waited for."""
    from orchestr.client.paths import path

    labels = {project.labels[name] for name in names}
    found: dict[str, list[Found]] = {}
    for plural in ("deployments", "jobs"):
        kind = find(plural)
        items = project.client.items(path(plural, project.namespace, group=kind.group))
        found[plural] = [(kind, {"kind": kind.kind, **obj}) for obj in items if service_of(obj) in labels]
    return [*(roll(project.client, each) for each in found["deployments"]), *rerun(project.client, found["jobs"])]
