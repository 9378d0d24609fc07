"""`orch wait [--for ready|complete|deleted|condition=TYPE] TARGET ...`."""

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
from orchestr.cli.view import BELOW, View

EXAMPLES = """examples:
  orch wait deployment/web --for ready --timeout 1m
  orch wait job/migrate --for complete
  orch wait pods -l app=web --for deleted"""

WORDS = ("ready", "complete", "deleted")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="+", metavar="KIND/NAME | KIND [NAME ...]")
    parser.add_argument("--for", dest="what_for", default="ready", metavar="|".join((*WORDS, "condition=TYPE")))
    parser.add_argument("-l", "--selector", metavar="LABEL=VALUE", help="objects of KIND with these labels")
    parser.add_argument(
        "--timeout", type=duration, metavar="DURATION", default=300.0, help="how long to wait (default 5m)"
    )
    add_namespace(parser, all_=False)


def run(args: argparse.Namespace) -> int:
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
