"""`orch up` in the foreground: the logs of the services until all have ended, one ends that ends all, or ^C."""

import argparse
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from orchestr.cli import OK, halting
from orchestr.cli.logfollow import Follower
from orchestr.cli.loglines import Printer
from orchestr.cli.logs import containers
from orchestr.cli.output import colored, seconds
from orchestr.cli.project import Project, service_of
from orchestr.cli.selection import needed
from orchestr.cli.view import View

INTERRUPTED = 130
OVER = ("Complete", "Failed", "Stopped")


def foreground(project: Project, args: argparse.Namespace, names: Sequence[str], begun: float) -> int:
    """The exit code: 130 after ^C, that of the container that ended all, else 0. `begun`: what ended before then, in
    seconds since the epoch, ends nothing."""
    shown = [name for name in names if name not in args.no_attach and (not args.attach or name in args.attach)]
    wanted = {project.labels[name] for name in shown}
    color = colored("never" if args.no_color else args.color)
    printer = Printer(color=color, stamps=args.timestamps, prefixes=not args.no_log_prefix)

    def chosen(pod: Mapping[str, Any]) -> list[str]:
        return containers(pod, None) if service_of(pod) in wanted else []

    follower = Follower(project.client, project.namespace, printer, chosen, {"follow": True, "timestamps": True})
    watcher = Watcher(project, args, names, follower, begun)
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell ignores SIGINT for what runs in the background
        signal.signal(number, signal.default_int_handler)
    try:
        watcher.begin()
        follower.run(project.pods, lambda: _over(project, names))
    except KeyboardInterrupt:
        print("\nstopping (^C again kills)", file=sys.stderr, flush=True)
        _stop(project, args, names)
        return INTERRUPTED
    if watcher.ended is None:
        return OK
    name, code = watcher.ended
    print(f"{name} exited with code {code}; stopping", file=sys.stderr, flush=True)
    _stop(project, args, names)
    return code


def _over(project: Project, names: Sequence[str]) -> bool:
    rows = project.again().rows
    return all((rows.get(name) or {}).get("phase") in OVER for name in names)


def _stop(project: Project, args: argparse.Namespace, names: Sequence[str]) -> None:
    project = project.again()
    try:
        halting.stop(project, names, args.timeout)
    except KeyboardInterrupt:
        halting.kill(project.again(), names)


class Watcher:
    """Ends the follower when a container ends, if the user wants that. `ended`: its service and exit code."""

    def __init__(
        self, project: Project, args: argparse.Namespace, names: Sequence[str], follower: Follower, begun: float
    ) -> None:
        self._project, self._follower = project, follower
        self._failure = args.abort_on_container_failure and not args.abort_on_container_exit
        self._only = args.exit_code_from
        self._wanted = args.abort_on_container_exit or args.abort_on_container_failure or args.exit_code_from
        self._names = {project.labels[name]: name for name in names}
        self._begun = int(begun)
        self._steps = {
            name
            for service in project.services.values()
            for name, edge in needed(service).items()
            if edge.get("condition") == "service_completed_successfully"
        }
        self.ended: tuple[str, int] | None = None

    def begin(self) -> None:
        if self._wanted:
            view = View(self._project.client, [self._project.namespace], ["pods"])
            threading.Thread(target=self._watch, args=(view,), daemon=True).start()

    def _watch(self, view: View) -> None:
        seen: set[str] = set()
        while True:
            for pod in view.objects["pods"].values():
                for name, code, at, run in _exits(pod, self._names):
                    if run not in seen and at >= self._begun and self._counts(name, code):
                        self.ended = name, code
                        self._follower.end()
                        return
                    seen.add(run)
            view.wait(None)

    def _counts(self, name: str, code: int) -> bool:
        """One that ends all. Of the service that gives the code, only its own; a failure of another ends all, too."""
        if code == 0 and name in self._steps and name != self._only:
            return False  # others wait for just that
        if self._only:
            return name == self._only or code != 0
        return code != 0 or not self._failure


def _exits(pod: Mapping[str, Any], names: Mapping[str, str]) -> list[tuple[str, int, float, str]]:
    """(service, exit code, when, id) of the containers of a pod that ended."""
    label = service_of(pod)
    if label not in names:
        return []
    found = []
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        ended = (status.get("state") or {}).get("terminated") or (status.get("lastState") or {}).get("terminated")
        if ended:
            at = seconds(ended["finishedAt"]) if ended.get("finishedAt") else 0.0
            found.append((names[label], int(ended.get("exitCode", 0)), at, f"{ended.get('containerID')}/{at}"))
    return found
