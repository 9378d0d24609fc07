"""`orch events [SERVICE ...]`: what happened, oldest first."""

import argparse
import json
from typing import Any

from orchestr.cli import context
from orchestr.cli.kinds import references
from orchestr.cli.options import add_namespace, add_output
from orchestr.cli.options import moment as since
from orchestr.cli.output import age, colored, dump, paint, seconds, table
from orchestr.client.paths import path

EXAMPLES = """examples:
  orch events -A             of all namespaces
  orch events --for pod/x    about one object
  orch events -w             as they come"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="only about these services and their pods")
    parser.add_argument("--json", action="store_true", help="a line of JSON each")
    parser.add_argument("--since", type=since, metavar="TIME", help="only since 10m ago, or 2026-01-02T13:23:37Z")
    parser.add_argument("--until", type=since, metavar="TIME", help="only before 10m ago, or a time")
    parser.add_argument("--for", dest="about", metavar="KIND/NAME", help="only about this object")
    parser.add_argument("--warnings", action="store_true", help="only warnings")
    parser.add_argument("-w", "--watch", action="store_true", help="go on as they come")
    add_output(parser, "json", "yaml")
    add_namespace(parser)


def run(args: argparse.Namespace) -> int:
    client = context.client(args)
    target = path("events", None if args.all_namespaces else context.namespace(args))
    query = {"fieldSelector": _fields(args)}
    answer = client.get(target, query)
    show(args, sorted((each for each in answer["items"] if meant(args, each)), key=moment), header=True)
    if args.watch:
        for event in client.watch(target, since=answer["metadata"]["resourceVersion"], query=query):
            if event["type"] in ("ADDED", "MODIFIED") and meant(args, event["object"]):
                show(args, [event["object"]], header=False)
    return 0


def meant(args: argparse.Namespace, event: dict[str, Any]) -> bool:
    about, at = str((event.get("involvedObject") or {}).get("name", "")), moment(event)
    if args.services:
        labels = [context.label(name) for name in args.services]
        if not any(about == label or about.startswith(f"{label}-") for label in labels):
            return False
    when = seconds(at) if at else 0.0
    return (args.since is None or when >= int(args.since)) and (args.until is None or when < args.until)


def _fields(args: argparse.Namespace) -> str | None:
    parts = ["type=Warning"] if args.warnings else []
    if args.about:
        kind, name = references([args.about])[1][0]
        parts += [f"involvedObject.kind={kind.kind}", f"involvedObject.name={name}"]
    return ",".join(parts) or None


def moment(event: dict[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")


def show(args: argparse.Namespace, events: list[dict[str, Any]], *, header: bool) -> None:
    if args.json:
        for event in events:
            print(json.dumps(event), flush=True)
        return
    if args.output:
        if header or events:
            print(
                dump({"apiVersion": "v1", "kind": "List", "items": events} if header else events[0], args.output),
                flush=True,
            )
        return
    if not events and header:
        print("no events")
        return
    lines = rows(events, namespaces=args.all_namespaces)
    on = colored(args.color)
    head = [*(["NAMESPACE"] if args.all_namespaces else []), "AGE", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    text = table(head, lines).split("\n")
    if header:
        print(paint(text[0], "bold", on))
    for event, line in zip(events, text[1:], strict=True):
        print(paint(line, "yellow" if event.get("type") == "Warning" else "", on), flush=True)


def rows(events: list[dict[str, Any]], *, namespaces: bool) -> list[list[str]]:
    found = []
    for event in events:
        about = event.get("involvedObject") or {}
        times = f" (x{event['count']})" if event.get("count", 1) > 1 else ""
        own = [str(event["metadata"].get("namespace", ""))] if namespaces else []
        name = f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"
        words = [str(event.get(key, "")) for key in ("type", "reason")]
        found.append([*own, age(moment(event)), *words, name, f"{event.get('message', '')}{times}"])
    return found
