"""Images by the names that services give, as the daemon resolves them."""

from collections.abc import Iterable
from typing import Any

from orchestr.api.errors import ApiError
from orchestr.cli.project import Project, service_of
from orchestr.client.paths import IMAGES
from orchestr.client.sync import Client


def image(client: Client, name: str) -> dict[str, Any] | None:
    """None when it is not here, or is no name of an image: that is told where it is started."""
    try:
        return client.get(IMAGES, {"name": name})
    except ApiError:
        return None


def digest(client: Client, name: str) -> str:
    found = image(client, name)
    return str(found["digest"]) if found else ""


def outdated(project: Project, names: Iterable[str]) -> list[str]:
    """The services that run another image than the one that has its name now."""
    if project.client.foreign:
        return []
    known: dict[str, str] = {}
    found = []
    pods: dict[str, list[dict[str, Any]]] = {}
    by_label = project.names
    for pod in project.pods(names):
        pods.setdefault(by_label[service_of(pod)], []).append(pod)
    for name in names:
        runs = {id for pod in pods.get(name, ()) for id in _images(pod)}
        wanted = str(project.services[name]["image"])
        if runs and wanted not in known:
            known[wanted] = digest(project.client, wanted)
        if runs and known[wanted] and any(known[wanted] not in each for each in runs):
            found.append(name)
    return found


def _images(pod: dict[str, Any]) -> set[str]:
    if pod["metadata"].get("deletionTimestamp"):
        return set()
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return {str(each["imageID"]) for each in statuses if each.get("imageID")}
