"""Services that stop, stay stopped, and start again. The Stack says which are to have no pods, so that neither a crash
nor a restart of the daemon or of the machine starts them."""

import sys
import time
from collections.abc import Collection

from orchestr.api.errors import NotFound
from orchestr.api.labels import STOP_TIMEOUT
from orchestr.cli import OK, TIMEOUT
from orchestr.cli.project import Project, mark, service_of
from orchestr.cli.selection import levels, with_dependencies
from orchestr.cli.view import View
from orchestr.client.paths import path

OVER = ("Complete", "Failed")  # phases of a service that has ended by itself
SPARE = 120.0  # seconds beyond the grace period until it is said what still runs


def stop(project: Project, names: Collection[str], timeout: int | None = None) -> int:
    """Those that others wait for come last; each level has ended before the next is asked to. OK or TIMEOUT."""
    names = [name for name in names if (project.rows.get(name) or {}).get("phase") not in OVER]
    for level in reversed(levels(project.services, names)):
        if code := _end(project, level, timeout):
            return code
        project = project.again()
    return OK


def kill(project: Project, names: Collection[str]) -> int:
    """All at once, and without asking."""
    names = [name for name in names if (project.rows.get(name) or {}).get("phase") not in OVER]
    return _end(project, names, 0)


def _end(project: Project, names: Collection[str], timeout: int | None) -> int:
    limit(project, names, timeout)
    mark(project, stopped=names)
    left = gone(project, names, timeout)
    for name in names:
        if name not in left:
            print(f"{name} stopped", flush=True)
    if left:
        print(f"orch: still running: {', '.join(left)} (orch status says why)", file=sys.stderr)
    return TIMEOUT if left else OK


def limit(project: Project, names: Collection[str], timeout: int | None) -> None:
    """How long the pods of these services get to end, when they end next; None leaves it to them."""
    if timeout is None:
        return
    for pod in project.pods(names):
        meta = pod["metadata"]
        place = path("pods", project.namespace, meta["name"])
        try:
            if not meta.get("deletionTimestamp"):
                project.client.patch(place, {"metadata": {"annotations": {STOP_TIMEOUT: str(timeout)}}})
            elif timeout < meta.get("deletionGracePeriodSeconds", 0):
                project.client.delete(place, {"gracePeriodSeconds": timeout})
        except NotFound:
            continue  # it has just ended


def gone(project: Project, names: Collection[str], timeout: int | None) -> list[str]:
    """Waits until the services have no pods; those that still have some after a long while."""
    labels = {project.labels[name]: name for name in names}
    view = View(project.client, [project.namespace], ["pods"])
    pods = view.objects["pods"]
    grace = max((_grace(pod) for pod in pods.values() if service_of(pod) in labels), default=0)
    end = time.monotonic() + (grace if timeout is None else timeout) + SPARE
    while left := {labels[service_of(pod)] for pod in pods.values() if service_of(pod) in labels}:
        if time.monotonic() >= end:
            return sorted(left)
        view.wait(end - time.monotonic())
    return []


def _grace(pod: dict[str, object]) -> float:
    spec = pod["spec"]
    assert isinstance(spec, dict)
    return float(spec.get("terminationGracePeriodSeconds", 30))


def start(project: Project, names: Collection[str]) -> tuple[Project, list[str]]:
    """The services and what they wait for; those that were started."""
    wanted = with_dependencies(project.services, names)
    return mark(project, started=wanted), [name for name in wanted if name in project.stopped]
