"""`orch wait [--for ready|complete|deleted|condition=TYPE] TARGET ...`.

`orch wait SERVICE ...`, of services of the project in scope and without --for, waits until their containers have ended,
prints their exit codes and exits as they did, as with Compose.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from typing import Any

from orchestr.cli import FAILED, OK, TIMEOUT, context
from orchestr.cli.converge import judge
from orchestr.cli.errors import Bad
from orchestr.cli.kinds import Kind, references
from orchestr.cli.options import add_namespace, duration
from orchestr.cli.output import span
from orchestr.cli.project import Project, chosen, seek, service_of
from orchestr.cli.view import BELOW, View

EXAMPLES = """examples:
  orch wait deployment/web --for ready --timeout 1m
  orch wait job/migrate --for complete
  orch wait pods -l app=web --for deleted"""

WORDS = ("ready", "complete", "deleted")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="+", metavar="KIND/NAME | KIND [NAME ...]")
    parser.add_argument("--for", dest="what_for", metavar="|".join((*WORDS, "condition=TYPE")),
                        help="default: ready; of services, until they end")  # fmt: skip
    parser.add_argument("--down-project", action="store_true", help="of services: end the whole project then")
    parser.add_argument("-l", "--selector", metavar="LABEL=VALUE", help="objects of KIND with these labels")
    parser.add_argument(
        "--timeout", type=duration, metavar="DURATION", default=300.0, help="how long to wait (default 5m)"
    )
    add_namespace(parser, all_=False)


def run(args: argparse.Namespace) -> int:
    if args.what_for is None and (project := _project(args)) is not None:
        return until_ended(project, args)
    if args.down_project:
        raise Bad("orch wait: --down-project goes with services of the project in scope")
    args.what_for = args.what_for or "ready"
    wanted = args.what_for.removeprefix("delete") and args.what_for
    if wanted == "delete":
        wanted = "deleted"
    condition = wanted.partition("=")[2].partition("=")[0] if wanted.startswith("condition=") else ""
    if wanted not in WORDS and not condition:
        raise Bad(f"orch wait: cannot wait for {args.what_for!r} (use {', '.join(WORDS)} or condition=TYPE)")
    client, namespace = context.client(args), context.namespace(args)
    kinds, names = references(args.what)
    view = View(client, [namespace], dict.fromkeys([*(k.plural for k in kinds), *(k.plural for k, _ in names), *BELOW]))
    pairs = [*names, *((kind, name) for kind in kinds for name in _labelled(view, kind, args.selector))]
    begun = time.monotonic()
    while True:
        left = []
        for kind, name in pairs:
            obj = view.one(kind, namespace if kind.namespaced else "", name)
            done, text = _look(view, obj, wanted, condition)
            if done is None:
                print(f"orch: {kind.kind.lower()}/{name}: {text}", file=sys.stderr)
                return FAILED
            if not done:
                left.append(f"{kind.kind.lower()}/{name}: {text}")
        if not left:
            for kind, name in pairs:
                print(f"{kind.kind.lower()}/{name} {condition or wanted}")
            return OK
        rest = args.timeout - (time.monotonic() - begun)
        if rest <= 0:
            print(f"orch: not {condition or wanted} after {span(args.timeout)}: {'; '.join(left)}", file=sys.stderr)
            return TIMEOUT
        view.wait(rest)


def _project(args: argparse.Namespace) -> Project | None:
    """The project in scope, when all that is named are services of it."""
    if any("/" in word for word in args.what) or not (args.namespace or context.in_scope(args)):
        return None
    found = seek(context.client(args), context.namespace(args))
    names = {*found.services, *found.labels.values()} if found else set()
    return found if all(word in names for word in args.what) else None


def until_ended(project: Project, args: argparse.Namespace) -> int:
    """The exit code of the last that ended badly, else 0; at --timeout TIMEOUT."""
    left = {project.labels[name]: name for name in chosen(project, args.what)}
    view, end, code = View(project.client, [project.namespace], ["pods"]), time.monotonic() + args.timeout, OK
    while left:
        for label in list(left):
            pods = [pod for pod in view.objects["pods"].values() if service_of(pod) == label]
            if all((pod.get("status") or {}).get("phase") in ("Succeeded", "Failed") for pod in pods):
                codes = [_exit_code(pod) for pod in pods] or [0]
                print(f"{left.pop(label)} {' '.join(map(str, codes))}", flush=True)
                code = max(codes) or code
        if left and not view.wait(max(end - time.monotonic(), 0)):
            print(f"orch: still running after {span(args.timeout)}: {', '.join(left.values())}", file=sys.stderr)
            return TIMEOUT
    if args.down_project:
        from orchestr.cli import delete
        from orchestr.cli.kinds import find

        target = (find("st"), project.namespace, project.namespace)
        delete.remove(project.client, target)
        delete.gone(project.client, [target], args.timeout)
    return code


def _exit_code(pod: Mapping[str, Any]) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    ended = [(each.get("state") or {}).get("terminated") or {} for each in statuses]
    return max((int(each.get("exitCode", 0)) for each in ended), default=0)


def _labelled(view: View, kind: Kind, selector: str | None) -> list[str]:
    labels = dict(pair.partition("=")[::2] for pair in selector.split(",")) if selector else {}
    return [
        obj["metadata"]["name"]
        for obj in view.objects[kind.plural].values()
        if labels.items() <= (obj["metadata"].get("labels") or {}).items()
    ]


def _look(view: View, obj: Mapping[str, Any] | None, wanted: str, condition: str) -> tuple[bool | None, str]:
    """(done, what is missing); done is None when it can never be."""
    if wanted == "deleted":
        return obj is None, "still there"
    if obj is None:
        return False, "does not exist"
    if condition:
        conditions = (obj.get("status") or {}).get("conditions") or []
        found = next((c for c in conditions if c["type"].lower() == condition.lower()), {"status": "not set"})
        return found["status"] == "True", f"condition {condition} is {found['status']}"
    verdict = judge(obj, view.below(obj["metadata"]["uid"]), foreign=view.foreign)
    if verdict.state == "failed":
        return None, verdict.text
    finished = (
        wanted == "ready" or obj["kind"] in ("Job", "Stack") or (obj.get("status") or {}).get("phase") == "Succeeded"
    )
    return verdict.state == "done" and finished, verdict.text or "not complete"
