"""`orch ps [SERVICE ...]`: the containers of the project, as `docker compose ps` lists them.

Why something does not run says `orch status`.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from orchestr.cli import OK, columns
from orchestr.cli.forms import show
from orchestr.cli.options import add_scope
from orchestr.cli.output import age, seconds
from orchestr.cli.project import Project, chosen, find, service_of
from orchestr.cli.why import pod_why
from orchestr.client.paths import path

EXAMPLES = """examples:
  orch ps                                  what runs
  orch ps -a --format json                 with what has ended, a line of JSON each
  orch ps --format '{{.Name}} {{.State}}'"""

STATES = ("paused", "restarting", "removing", "running", "dead", "created", "exited")
COLUMNS = ("Name", "Image", "Command", "Service", "Created", "Status", "Ports")
Object = Mapping[str, Any]


def add(parser: argparse.ArgumentParser) -> None:
    flag = parser.add_argument
    flag("services", nargs="*", metavar="SERVICE", help="only containers of these services")
    flag("-a", "--all", action="store_true", help="also those that have ended or are stopped")
    flag("-q", "--quiet", action="store_true", help="only names, which exec, logs and others take")
    flag("--services", dest="only_services", action="store_true", help="only names of services")
    flag("--status", action="append", choices=STATES, metavar="STATE", help=f"only these: {', '.join(STATES)}")
    flag("--filter", metavar="status=STATE", help="as --status")
    flag("--format", default="table", metavar="table|json|TEMPLATE", help="form of output")
    flag("--no-trunc", action="store_true", help="whole commands")
    add_scope(parser)


def run(args: argparse.Namespace) -> int:
    project = find(args)
    names = chosen(project, args.services)
    wanted = list(args.status or [])
    if args.filter:
        from orchestr.cli.errors import Bad

        key, _, state = args.filter.partition("=")
        if key != "status" or state not in STATES:
            raise Bad(f"orch ps: cannot filter by {args.filter!r} (write status=running)")
        wanted.append(state)
    found = [row for row in rows(project, names, whole=args.no_trunc) if _meant(row, wanted, every=args.all)]
    if args.only_services:
        print("\n".join(dict.fromkeys(row["Service"] for row in found)))
    elif args.quiet:
        print("\n".join(row["Name"] for row in found if row["ID"]))
    else:
        show(found, args.format, COLUMNS)
    return OK


def _meant(row: Object, wanted: list[str], *, every: bool) -> bool:
    return row["State"] in wanted if wanted else every or row["State"] != "exited"


def rows(project: Project, names: list[str], *, whole: bool = False) -> Iterator[dict[str, Any]]:
    """One a container, and one for each service that is stopped."""
    published = {
        service["metadata"]["name"]: columns.published(service)
        for service in project.client.items(path("services", project.namespace))
    }
    by_label = project.names
    for pod in project.pods(names):
        label = service_of(pod)
        statuses = {each["name"]: each for each in (pod.get("status") or {}).get("containerStatuses") or []}
        for container in pod["spec"]["containers"]:
            row = _row(project, pod, container, statuses.get(container["name"]) or {}, whole)
            yield {**row, "Service": by_label[label], "Ports": published.get(label, "").replace("<none>", "")}
    for name in names:
        if name in project.stopped:
            yield _stopped(project, name)


def _row(project: Project, pod: Object, container: Object, status: Object, whole: bool) -> dict[str, Any]:
    state, text, code = state_of(pod, container, status)
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    command = " ".join(words)
    return {
        "ID": str(status.get("containerID") or "").removeprefix("orch://") or str(pod["metadata"]["uid"]),
        "Name": pod["metadata"]["name"],
        "Image": container["image"],
        "Command": json.dumps(command if whole or len(command) <= 20 else f"{command[:19]}…", ensure_ascii=False),
        "Project": project.namespace,
        "Service": "",
        "Created": f"{age(pod['metadata']['creationTimestamp'])} ago",
        "CreatedAt": pod["metadata"]["creationTimestamp"],
        "RunningFor": age(pod["metadata"]["creationTimestamp"]),
        "State": state,
        "Status": text,
        "Health": _health(container, status) if state == "running" else "",
        "ExitCode": code,
        "Ports": "",
        "Labels": ",".join(f"{key}={value}" for key, value in (pod["metadata"].get("labels") or {}).items()),
    }


def state_of(pod: Object, container: Object, status: Object) -> tuple[str, str, int]:
    """(State, Status, ExitCode), in Docker's words."""
    state, last = status.get("state") or {}, (status.get("lastState") or {}).get("terminated") or {}
    ended = state.get("terminated") or {}
    if running := state.get("running"):
        health = _health(container, status)
        text = f"Up {_since(running.get('startedAt'))}{f' ({health})' if health else ''}"
        if pod["metadata"].get("deletionTimestamp"):
            return "removing", f"{text} (stopping)", 0
        return "running", text, 0
    if ended:
        code = int(ended.get("exitCode", 0))
        return "exited", f"Exited ({code}) {_since(ended.get('finishedAt'))} ago", code
    if last:
        code = int(last.get("exitCode", 0))
        return "restarting", f"Restarting ({code}) {_since(last.get('finishedAt'))} ago", code
    why = pod_why(pod)
    return "created", f"Created{f' ({why})' if why else ''}", 0


def _since(stamp: str | None) -> str:
    return age(stamp) if stamp and seconds(stamp) <= time.time() else "0s"


def _health(container: Object, status: Object) -> str:
    if not (container.get("readinessProbe") or container.get("livenessProbe") or container.get("startupProbe")):
        return ""
    return "healthy" if status.get("ready") else "starting" if not status.get("started") else "unhealthy"


def _stopped(project: Project, name: str) -> dict[str, Any]:
    blank = dict.fromkeys(("ID", "Command", "Created", "CreatedAt", "RunningFor", "Health", "Ports", "Labels"), "")
    own = {"Name": project.labels[name], "Image": project.services[name].get("image", ""), "Service": name}
    return {**blank, **own, "Project": project.namespace, "State": "exited", "Status": "Stopped", "ExitCode": 0}
