"""`orch logs [TARGET ...]`: what containers printed; several merged by time, each line with the name of its source."""

import argparse
import time
from collections.abc import Mapping
from typing import Any

from orchestr.api.labels import SERVICE
from orchestr.cli import context, targets
from orchestr.cli.loglines import Printer, read
from orchestr.cli.options import add_namespace, moment
from orchestr.cli.output import colored, stamp
from orchestr.client.paths import path
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch logs                      all of this project, merged by time
  orch logs -f web worker        follow two services
  orch logs db --previous        of the run before the last restart"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="services, pods or kind/name (default: all)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as lines come")
    parser.add_argument(
        "--tail", "--lines", type=_lines, metavar="N", help="only the last N lines of each (all: every line)"
    )
    parser.add_argument(
        "--since", type=moment, metavar="TIME", help="only lines since 10m ago, or 2026-01-02T13:23:37Z"
    )
    parser.add_argument("--until", type=moment, metavar="TIME", help="only lines before 10m ago, or a time")
    parser.add_argument("-p", "--previous", action="store_true", help="of the run before")
    parser.add_argument("-t", "--timestamps", action="store_true", help="with the time of each line")
    parser.add_argument("--no-log-prefix", action="store_true", help="without the name of the source")
    parser.add_argument("--no-color", action="store_true", help="as --color never")
    parser.add_argument("-c", "--container", metavar="NAME", help="only this container")
    parser.add_argument("--index", type=int, metavar="N", help="only the Nth container of each service, from 1")
    parser.add_argument("-l", "--selector", metavar="LABEL=VALUE", help="only pods with these labels")
    add_namespace(parser, all_=False)


def _lines(text: str) -> int | None:
    return None if text == "all" else int(text)


def run(args: argparse.Namespace) -> int:
    if args.namespace and args.namespace.isdecimal():  # Compose's -n 10
        args.tail, args.namespace = int(args.namespace), None
    client, namespace = context.client(args), context.namespace(args)
    options = {
        "follow": args.follow or None,
        "tailLines": args.tail,
        "previous": args.previous or None,
        "timestamps": True,
        "sinceTime": stamp(args.since) if args.since else None,
    }

    def pods() -> list[targets.Pod]:
        found = targets.pods(client, namespace, args.targets, args.selector)
        return targets.indexed(found, args.index) if args.index else found

    color = colored("never" if args.no_color else args.color)
    if args.follow:
        printer = Printer(color=color, stamps=args.timestamps, prefixes=not args.no_log_prefix)
        follow(client, namespace, args, options, printer, pods)
        return 0
    sources = [(pod["metadata"]["name"], name) for pod in pods() for name in containers(pod, args.container)]
    single = len(sources) == 1 and len(args.targets) == 1
    printer = Printer(color=color, stamps=args.timestamps, prefixes=not args.no_log_prefix and not single)
    for source in sources:
        printer.name(source)
    lines = [(source, line) for source in sources for line in read(client, namespace, source, options)]
    end = stamp(args.until).encode() if args.until else b"~"
    for source, line in sorted(lines, key=lambda item: item[1].partition(b" ")[0]):
        if line < end:
            printer.line(source, line)
    printer.flush()
    return 0


def follow(
    client: Client,
    namespace: str,
    args: argparse.Namespace,
    options: Mapping[str, object],
    printer: Printer,
    pods: targets.Choice,
) -> None:
    """Ends when all pods ended, at --until, or by ^C."""
    from orchestr.cli.logfollow import Follower

    first = [pod["metadata"]["uid"] for pod in pods()] if args.index else None

    def wanted(pod: targets.Pod) -> list[str]:
        meant = _meant(pod, args.targets) if first is None else pod["metadata"]["uid"] in first
        return containers(pod, args.container) if meant else []

    follower = Follower(client, namespace, printer, wanted, options, args.selector)
    if args.until:
        import threading

        timer = threading.Timer(max(args.until - time.time(), 0), follower.end)
        timer.daemon = True
        timer.start()
    follower.run(pods, lambda: finished(client, namespace, args))


def containers(pod: Mapping[str, Any], wanted: str | None) -> list[str]:
    """The containers whose log is meant: those that have run."""
    if wanted:
        return [targets.container(pod, wanted)]
    spec, status = pod["spec"], pod.get("status") or {}
    begun = {
        each["name"]
        for each in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        if each.get("containerID") or each.get("lastState") or "waiting" not in (each.get("state") or {"waiting": 1})
    }
    return [
        each["name"] for each in [*(spec.get("initContainers") or []), *spec["containers"]] if each["name"] in begun
    ]


def finished(client: Client, namespace: str, args: argparse.Namespace) -> bool:
    """Whether no line can come any more: there are pods, and all of them have ended for good."""
    query = {"labelSelector": args.selector}
    pods = [pod for pod in client.items(path("pods", namespace), query) if _meant(pod, args.targets)]
    return bool(pods) and all((pod.get("status") or {}).get("phase") in ("Succeeded", "Failed") for pod in pods)


def _meant(pod: Mapping[str, Any], words: list[str]) -> bool:
    """Whether a new pod belongs to what was asked for."""
    labels, name = pod["metadata"].get("labels") or {}, pod["metadata"]["name"]
    plain = [word.rpartition("/")[2] for word in words]
    return not words or labels.get(SERVICE) in plain or any(name == w or name.startswith(f"{w}-") for w in plain)
