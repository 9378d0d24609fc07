"""Waits until objects have converged, telling each step: one plain line a change, or one live line on a terminal."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from orchestr.cli import FAILED, OK, ROLLED_BACK, TIMEOUT
from orchestr.cli.converge import Verdict, judge
from orchestr.cli.kinds import find
from orchestr.cli.output import colored, paint, span
from orchestr.cli.view import BELOW, View
from orchestr.cli.why import owned
from orchestr.client.paths import path
from orchestr.client.sync import Client

Object = Mapping[str, Any]
WAITED = (
    "Stack",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "Job",
    "Pod",
    "Service",
    "PersistentVolumeClaim",
)
WITH_PODS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")
LOG_LINES = 20
STALE = 3.0  # seconds in which a failure from before may turn out to be over
SETTLE = 0.3  # seconds that all must hold, when there was something to wait for


def follow(
    client: Client,
    objects: Sequence[Object],
    *,
    timeout: float | None,
    color: str = "auto",
    quiet: bool = False,
    only: Sequence[str] | None = None,
) -> int:
    """Exit code: 0 all converged, 1 one failed, 3 the time was over, 4 rolled back.

    `only`: services of a Stack that count.
    """
    wanted = [obj for obj in objects if obj["kind"] in WAITED]
    if not wanted:
        return OK
    teller = Teller(color, quiet)
    namespaces = {obj["metadata"]["namespace"] for obj in wanted}
    below = BELOW if any(obj["kind"] in WITH_PODS for obj in wanted) else ()
    below = (*below, "services") if any(publishes(obj) for obj in wanted) else below
    view = View(client, namespaces, dict.fromkeys([*below, *(find(obj["kind"]).plural for obj in wanted)]))
    begun, waited = time.monotonic(), False
    before: list[str] | None = None
    verdicts: dict[str, Verdict] = {}
    while True:
        verdicts = {name(obj): verdict(view, obj, verdicts.get(name(obj)), only) for obj in wanted}
        teller.tell(verdicts)
        if all(each.state == "done" for each in verdicts.values()):
            if not waited or not view.wait(SETTLE):  # what has just started may fall at once
                return OK
            waited = False
            continue
        waited = True
        failed = [obj for obj in wanted if verdicts[name(obj)].state == "failed"]
        if before is None:
            before = [name(obj) for obj in failed]  # from before we came: what was mended meanwhile gets its chance
        old = begun + STALE - time.monotonic()
        if failed and old > 0 and all(name(obj) in before for obj in failed):
            view.wait(old)
            continue
        left = None if timeout is None else timeout - (time.monotonic() - begun)
        if failed:
            teller.end()
            for obj in failed:
                explain(client, view, obj)
            return ROLLED_BACK if all(verdicts[name(obj)].rolled_back for obj in failed) else FAILED
        if left is not None and left <= 0:
            teller.end()
            waiting = "; ".join(f"{who}: {each.text}" for who, each in verdicts.items() if each.state != "done")
            print(f"orch: not converged after {span(timeout or 0)}: {waiting}", file=sys.stderr)
            return TIMEOUT
        view.wait(left)


def publishes(obj: Object) -> bool:
    """Whether it is a Stack with published ports: its Services tell whether they could be had."""
    return obj["kind"] == "Stack" and any(each.get("ports") for each in obj["spec"].get("services", {}).values())


def name(obj: Object) -> str:
    return f"{obj['kind'].lower()}/{obj['metadata']['name']}"


def verdict(view: View, obj: Object, before: Verdict | None = None, only: Sequence[str] | None = None) -> Verdict:
    found = view.one(find(obj["kind"]), obj["metadata"]["namespace"], obj["metadata"]["name"])
    if found is None and before and before.state == "done" and obj["kind"] == "Job":
        return before  # complete, and gone after its ttlSecondsAfterFinished
    if found is None:
        return Verdict("failed", "it was deleted meanwhile")
    published = view.objects.get("services", {}).values()
    services = [each for each in published if owned(each) == ("Stack", found["metadata"]["uid"])]
    return judge(found, view.below(found["metadata"]["uid"]), services, foreign=view.foreign, only=only)


class Teller:
    """Says what changed."""

    def __init__(self, color: str, quiet: bool) -> None:
        self._said: dict[str, Verdict] = {}
        self._live = sys.stderr.isatty() and not quiet
        self._quiet, self._on = quiet, colored(color, sys.stderr)
        self._open = False

    def tell(self, verdicts: Mapping[str, Verdict]) -> None:
        for who, verdict in verdicts.items():
            before = self._said.get(who)
            if verdict != before and not self._quiet and not (before is None and verdict.state == "done"):
                mark, tint = {"done": ("ok", "green"), "failed": ("failed", "red"), "waiting": ("..", "yellow")}[
                    verdict.state
                ]
                line = f"{who}: {paint(mark, tint, self._on)} {verdict.text}".rstrip()
                if self._live and verdict.state == "waiting" and len(verdicts) == 1:
                    print(f"\r\x1b[K{line[:200]}", end="", file=sys.stderr, flush=True)
                    self._open = True
                else:
                    self.end()
                    print(line, file=sys.stderr, flush=True)
            self._said[who] = verdict

    def end(self) -> None:
        if self._open:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._open = False


def explain(client: Client, view: View, obj: Object) -> None:
    """The last lines that the failing container printed."""
    meta = obj["metadata"]
    found = view.one(find(obj["kind"]), meta["namespace"], meta["name"])
    pods: list[Object] = [found] if found and found["kind"] == "Pod" else []
    if obj["kind"] == "Stack":
        labels = {"labelSelector": f"orchestr.dev/stack={meta['name']}"}
        pods += client.items(path("pods", meta["namespace"]), labels)
    elif found:
        pods += view.below(found["metadata"]["uid"])
    for pod in pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or []:
            ended = (container.get("lastState") or {}).get("terminated") or (container.get("state") or {}).get(
                "terminated"
            )
            if ended and ended.get("exitCode"):
                _tail(client, pod, str(container["name"]), previous="running" in (container.get("state") or {}))
                return


def _tail(client: Client, pod: Object, container: str, *, previous: bool) -> None:
    from orchestr.api.errors import ApiError

    meta = pod["metadata"]
    try:
        response = client.logs(
            meta["namespace"], meta["name"], container=container, tailLines=LOG_LINES, previous=previous or None
        )
        lines = list(response.lines())
        response.close()
    except ApiError:
        return
    if lines:
        print(f"--- last lines of {meta['name']}/{container}", file=sys.stderr)
        for line in lines:
            print(line.decode(errors="replace"), file=sys.stderr)
