"""`orch logs [TARGET ...]`: what containers printed; several merged by time, each line with the name of its source."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from orchestr.cli import context, targets
from orchestr.cli.options import add_namespace, duration
from orchestr.cli.output import colored, paint
from orchestr.client.paths import path
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch logs                      all of this project, merged by time
  orch logs -f web worker        follow two services
  orch logs db --previous        of the run before the last restart"""

PALETTE = ("cyan", "yellow", "green", "magenta", "blue", "red")
GATHER = 0.05  # seconds in which lines of several streams are put in order
Source = tuple[str, str]  # pod, container


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="services, pods or kind/name (default: all)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as lines come")
    parser.add_argument(
        "--tail", "--lines", type=_lines, metavar="N", help="only the last N lines of each (all: every line)"
    )
    parser.add_argument("--since", type=duration, metavar="DURATION", help="only lines of the last 10m, 1h30m, ...")
    parser.add_argument("-p", "--previous", action="store_true", help="of the run before")
    parser.add_argument("-t", "--timestamps", action="store_true", help="with the time of each line")
    parser.add_argument("--no-log-prefix", action="store_true", help="without the name of the source")
    parser.add_argument("-c", "--container", metavar="NAME", help="only this container")
    parser.add_argument("-l", "--selector", metavar="LABEL=VALUE", help="only pods with these labels")
    add_namespace(parser, all_=False)


def _lines(text: str) -> int | None:
    return None if text == "all" else int(text)


def run(args: argparse.Namespace) -> int:
    client, namespace = context.client(args), context.namespace(args)
    pods = targets.pods(client, namespace, args.targets, args.selector)
    sources = [(pod["metadata"]["name"], name) for pod in pods for name in containers(pod, args.container)]
    options = {
        "follow": args.follow or None,
        "tailLines": args.tail,
        "previous": args.previous or None,
        "timestamps": True,
    }
    options["sinceSeconds"] = max(int(args.since), 1) if args.since else None
    printer = Printer(args, sources)
    if args.follow:
        follow(client, namespace, args, sources, options, printer)
        return 0
    lines = [item for source in sources for item in read(client, namespace, source, options)]
    for source, line in sorted(lines, key=lambda item: item[1].partition(b" ")[0]):
        printer.line(source, line)
    printer.flush()
    return 0


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


def read(
    client: Client, namespace: str, source: Source, options: Mapping[str, object]
) -> Iterator[tuple[Source, bytes]]:
    response = client.logs(namespace, source[0], container=source[1], **options)
    try:
        for line in response.lines():
            yield source, line
    finally:
        response.close()


class Printer:
    """Writes lines with prefix and colour; the prefix only where more than one source could be meant."""

    def __init__(self, args: argparse.Namespace, sources: list[Source]) -> None:
        self._on = colored(args.color)
        self._stamps = args.timestamps
        single = len(sources) == 1 and len(args.targets) == 1 and not args.follow
        self._prefixes = not args.no_log_prefix and not single
        self._names: dict[Source, bytes] = {}
        self._width = 0
        for source in sources:
            self._name(source)

    def _name(self, source: Source) -> bytes:
        known = self._names.get(source)
        if known is None:
            pod, container = source
            text = pod if container in pod or len(pod) > 40 else f"{pod}/{container}"
            self._width = max(self._width, len(text))
            color = PALETTE[len(self._names) % len(PALETTE)]
            known = self._names[source] = paint(f"{text:<{self._width}} | ", color, self._on).encode()
        return known

    def line(self, source: Source, line: bytes) -> None:
        stamp, _, text = line.partition(b" ")
        out = sys.stdout.buffer
        out.write(
            (self._name(source) if self._prefixes else b"") + (stamp + b" " if self._stamps else b"") + text + b"\n"
        )

    def flush(self) -> None:
        sys.stdout.buffer.flush()


def follow(
    client: Client,
    namespace: str,
    args: argparse.Namespace,
    sources: list[Source],
    options: dict[str, object],
    printer: Printer,
) -> None:
    """One thread a source; new pods of the same targets join as they start. Ends when all pods ended, or by ^C."""
    import queue
    import threading
    import time

    lines: queue.Queue[tuple[Source, bytes] | None] = queue.Queue(10000)
    known: set[Source] = set()

    def attach(source: Source, wanted: dict[str, object]) -> None:
        if source in known:
            return
        known.add(source)

        def reader() -> None:
            own = Client(client.address, start=client.start)
            try:
                for item in read(own, namespace, source, wanted):
                    lines.put(item)
            except Exception as error:
                lines.put((source, f"0 (log ended: {error})".encode()))
            lines.put(None)

        threading.Thread(target=reader, daemon=True).start()

    def newcomers() -> None:
        own = Client(client.address, start=client.start)
        since = own.get(path("pods", namespace), {"limit": 1})["metadata"]["resourceVersion"]
        while True:
            for event in own.watch(path("pods", namespace), since=since, query={"labelSelector": args.selector}):
                if event["type"] in ("ADDED", "MODIFIED") and _meant(event["object"], args.targets):
                    for name in containers(event["object"], args.container):
                        attach(
                            (event["object"]["metadata"]["name"], name),
                            {**options, "tailLines": None, "sinceSeconds": None},
                        )

    for source in sources:
        attach(source, options)
    threading.Thread(target=newcomers, daemon=True).start()
    ended = 0
    while ended < len(known) or not finished(client, namespace, args):
        batch = [lines.get()]
        time.sleep(GATHER)
        while not lines.empty():
            batch.append(lines.get_nowait())
        for item in sorted((item for item in batch if item), key=lambda item: item[1].partition(b" ")[0]):
            printer.line(*item)
        printer.flush()
        ended += batch.count(None)


def finished(client: Client, namespace: str, args: argparse.Namespace) -> bool:
    """Whether no line can come any more: there are pods, and all of them have ended for good."""
    query = {"labelSelector": args.selector}
    pods = [pod for pod in client.items(path("pods", namespace), query) if _meant(pod, args.targets)]
    return bool(pods) and all((pod.get("status") or {}).get("phase") in ("Succeeded", "Failed") for pod in pods)


def _meant(pod: Mapping[str, Any], words: list[str]) -> bool:
    """Whether a new pod belongs to what was asked for."""
    labels, name = pod["metadata"].get("labels") or {}, pod["metadata"]["name"]
    plain = [word.rpartition("/")[2] for word in words]
    return (
        not words
        or labels.get("orchestr.dev/service") in plain
        or any(name == w or name.startswith(f"{w}-") for w in plain)
    )
