"""`orch status`: stack -> workload -> pod: what is ready, how often it restarted, why not and what happens next."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from orchestr.api.labels import SERVICE, STACK
from orchestr.cli import columns, context
from orchestr.cli.kinds import find
from orchestr.cli.options import add_namespace, add_output
from orchestr.cli.output import age, colored, dump, paint, table
from orchestr.cli.why import owned, pod_why, ready, workload_why
from orchestr.client.paths import path
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch status            everything on this machine
  orch status -n shop    one namespace
  orch status -w         again whenever something changes"""

Object = Mapping[str, Any]
WORKLOADS = ("stacks", "deployments", "statefulsets", "daemonsets", "cronjobs", "jobs", "replicasets", "pods")
KINDS = (*WORKLOADS, "services")
OURS = "orchestr.dev"  # the group that other servers do not have
BAD = (
    "CrashLoopBackOff",
    "Failed",
    "Error",
    "OOMKilled",
    "ErrImagePull",
    "ImagePullBackOff",
    "RegistryUnavailable",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ContainerStatusUnknown",
)


class Line(NamedTuple):
    """One row of the tree."""

    depth: int
    name: str  # "deployment/web"
    ready: str
    state: str
    restarts: str
    age: str
    note: str  # why it is not ready and what comes next
    wide: str
    obj: Object


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="*", metavar="NAME", help="only these stacks, workloads or pods")
    parser.add_argument("-w", "--watch", action="store_true", help="print it again whenever something changes")
    parser.add_argument("-f", "--file", dest="files", action="append", metavar="FILE", help="only what this file made")
    parser.add_argument("-p", "--project-name", dest="project", metavar="NAME", help="only this project")
    add_output(parser, "json", "yaml", "wide")
    add_namespace(parser)


def run(args: argparse.Namespace) -> int:
    client = context.client(args)
    where = scope(args)
    if args.watch:
        follow(args, client, where)
    else:
        show(args, read(client, where))
    return 0


def scope(args: argparse.Namespace) -> str | None:
    """One namespace, or None for all: -n, -p and -f mean one."""
    if args.all_namespaces:
        return None
    return context.namespace(args) if args.namespace or args.project or args.files else None


def read(client: Client, where: str | None) -> dict[str, list[dict[str, Any]]]:
    return {plural: client.there(path(plural, where, group=find(plural).group)) for plural in KINDS}


def follow(args: argparse.Namespace, client: Client, where: str | None) -> None:
    """Prints it again each time something of it changed, for ever; a burst of changes counts once."""
    from orchestr.cli.view import View

    view = View(client, [where or ""], [each for each in KINDS if not (client.foreign and find(each).group == OURS)])
    while True:
        show(args, read(client, where))
        view.wait(None)
        if sys.stdout.isatty():
            print("\x1b[H\x1b[2J", end="")


def show(args: argparse.Namespace, objects: Mapping[str, list[dict[str, Any]]]) -> None:
    lines = [line for line in tree(objects) if not args.what or _chosen(line, args.what)]
    if args.output in ("json", "yaml"):
        print(
            dump({"kind": "Status", "apiVersion": "orchestr.dev/v1", "items": nested(lines)}, args.output), flush=True
        )
        return
    if not lines:
        print("nothing runs here (orch apply -f FILE)")
        return
    wide = args.output == "wide"
    head = ["NAME", "READY", "STATE", "RESTARTS", "AGE", *(["PORTS / IP"] if wide else []), "WHY AND WHAT NEXT"]
    rows = [_cells(line, wide=wide) for line in lines]
    text, on = table(head, rows).split("\n"), colored(args.color)
    print(paint(text[0], "bold", on))
    for line, shown in zip(lines, text[1:], strict=True):
        print(paint(shown, color(line), on), flush=True)


def _cells(line: Line, *, wide: bool) -> list[str]:
    name = "  " * line.depth + line.name
    return [name, line.ready, line.state, line.restarts, line.age, *([line.wide] if wide else []), line.note]


def color(line: Line) -> str:
    if line.state in BAD or line.state.startswith("Failed"):
        return "red"
    return "" if line.state in ("Running", "Ready", "Complete", "Completed", "Active", "Scheduled") else "yellow"


def _chosen(line: Line, names: list[str]) -> bool:
    return any(name in (line.name, line.name.partition("/")[2]) or _belongs(line.obj, name) for name in names)


def _belongs(obj: Object, name: str) -> bool:
    labels = obj["metadata"].get("labels") or {}
    return name in (labels.get(SERVICE), labels.get(STACK))


def tree(objects: Mapping[str, list[dict[str, Any]]]) -> list[Line]:
    """Stacks with their workloads and pods, then the workloads and pods that belong to no stack."""
    children: dict[str, list[Object]] = {}
    tops: list[Object] = []
    uids = {obj["metadata"]["uid"] for objs in objects.values() for obj in objs}
    for plural in WORKLOADS:
        for obj in objects[plural]:
            owner = owned(obj)
            if owner and owner[1] in uids:
                children.setdefault(owner[1], []).append({"kind": find(plural).kind, **obj})
            else:
                tops.append({"kind": find(plural).kind, **obj})
    ports = {_key(service): columns.published(service) for service in objects["services"]}
    lines: list[Line] = []
    for top in sorted(tops, key=_order):
        _walk(top, 0, children, ports, lines)
    return lines


def _order(obj: Object) -> tuple[str, bool, str]:
    """By namespace, stacks first."""
    return obj["metadata"].get("namespace", ""), obj["kind"] != "Stack", obj["metadata"]["name"]


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _walk(
    obj: Object, depth: int, children: Mapping[str, list[Object]], ports: Mapping[Any, str], lines: list[Line]
) -> None:
    below = children.get(obj["metadata"]["uid"], [])
    if obj["kind"] == "ReplicaSet" and depth:  # a step of a Deployment: its pods stand under the Deployment
        for child in below:
            _walk(child, depth, children, ports, lines)
        return
    lines.append(_line(obj, depth, _pods(obj, children), ports))
    for child in sorted(below, key=lambda child: child["metadata"]["name"]):
        _walk(child, depth + 1, children, ports, lines)


def _pods(obj: Object, children: Mapping[str, list[Object]]) -> list[Object]:
    """All pods below an object."""
    if obj["kind"] == "Pod":
        return [obj]
    return [pod for child in children.get(obj["metadata"]["uid"], []) for pod in _pods(child, children)]


def _line(obj: Object, depth: int, pods: list[Object], ports: Mapping[Any, str]) -> Line:
    meta, kind = obj["metadata"], str(obj["kind"])
    where = meta.get("namespace", "")
    name = f"{kind.lower()}/{meta['name']}"
    if depth == 0 and kind != "Stack" and where != "default":
        name += f" ({where})"
    state, count, note = _state(obj, pods)
    wide = ports.get((where, meta["name"]), "") if kind != "Pod" else columns.TABLE["Pod"][3](obj)[0]
    return Line(
        depth, name, count, state, str(sum(columns.restarts(pod) for pod in pods)), age(meta.get("creationTimestamp")),
        note, "" if wide == "<none>" else wide, obj,
    )  # fmt: skip


def _state(obj: Object, pods: list[Object]) -> tuple[str, str, str]:
    """(state, ready/desired, note)."""
    kind, status, spec = obj["kind"], obj.get("status") or {}, obj.get("spec") or {}
    if kind == "Pod":
        notes = [pod_why(obj)]
        if without_user_namespace(spec):
            notes.append("no user namespace")
        return columns.pod_state(obj), columns.ready(obj), "; ".join(note for note in notes if note)
    if kind == "Job":
        done, wanted = int(status.get("succeeded", 0)), int(spec.get("completions") or 1)
        word = columns.job_state(obj)
        return word, f"{done}/{wanted}", workload_why(obj) or ("" if word == "Complete" else _first(pods))
    if kind == "CronJob":
        return _cron_state(spec, status)
    if kind == "Stack":
        rows = status.get("services") or []
        condition: Object = next((c for c in status.get("conditions") or [] if c["type"] == "Ready"), {})
        good = sum(1 for row in rows if row.get("phase") in ("Ready", "Complete", "Completed", "Running", "Stopped"))
        word = "Ready" if condition.get("status") == "True" else str(condition.get("reason") or "Progressing")
        return word, f"{good}/{len(rows)}", str(condition.get("message") or "") if word != "Ready" else ""
    wanted = int(status.get("desiredNumberScheduled", 0) if kind == "DaemonSet" else spec.get("replicas", 1))
    good = sum(ready(pod) for pod in pods if not pod["metadata"].get("deletionTimestamp"))
    word = "Running" if good >= wanted else "Progressing"
    return word, f"{good}/{wanted}", workload_why(obj) or ("" if good >= wanted else _first(pods))


def _cron_state(spec: Object, status: Object) -> tuple[str, str, str]:
    """How many Jobs run, and when the next one comes."""
    running = len(status.get("active") or [])
    if spec.get("suspend"):
        return "Suspended", str(running), "starts nothing while suspend is true"
    from datetime import UTC, datetime

    from orchestr.api.schedule import ScheduleError, parse

    try:
        coming = parse(str(spec.get("schedule")), spec.get("timeZone")).after(datetime.now(UTC))
    except ScheduleError as error:
        return "Failed", str(running), str(error)
    note = f"next run at {coming:%Y-%m-%d %H:%M:%S} UTC" if coming else "never runs again"
    return ("Running" if running else "Scheduled"), str(running), note


def without_user_namespace(spec: Object) -> bool:
    """Whether root in the pod is root on the machine: asked for, or implied by what it shares with the machine."""
    every = [*(spec.get("initContainers") or []), *spec["containers"]]
    shared = any(spec.get(name) is True for name in ("hostUsers", "hostNetwork", "hostPID", "hostIPC"))
    return shared or any((each.get("securityContext") or {}).get("privileged") for each in every)


def _first(pods: list[Object]) -> str:
    return next((note for pod in pods if not ready(pod) and (note := pod_why(pod))), "")


def nested(lines: list[Line]) -> list[dict[str, Any]]:
    """The tree as data."""
    roots: list[dict[str, Any]] = []
    stack: list[tuple[int, dict[str, Any]]] = []
    for line in lines:
        entry: dict[str, Any] = {
            "kind": line.obj["kind"],
            "namespace": line.obj["metadata"].get("namespace", ""),
            "name": line.obj["metadata"]["name"],
            "ready": line.ready,
            "state": line.state,
            "restarts": int(line.restarts),
            "why": line.note,
            "children": [],
        }
        while stack and stack[-1][0] >= line.depth:
            stack.pop()
        (stack[-1][1]["children"] if stack else roots).append(entry)
        stack.append((line.depth, entry))
    return roots
