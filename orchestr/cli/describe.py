"""`orch describe KIND NAME`: the object, its events, why it is not well and what happens next."""

import argparse
from typing import Any

from orchestr.cli import context, events
from orchestr.cli.columns import OTHERS, TABLE
from orchestr.cli.get import target
from orchestr.cli.kinds import Kind, references
from orchestr.cli.options import add_namespace
from orchestr.cli.output import age, dump, table
from orchestr.cli.why import pod_why, workload_why
from orchestr.client.paths import path
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch describe pod web-1
  orch describe deploy/web svc/web"""

HIDDEN = ("managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "name", "namespace")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="+", metavar="KIND [NAME] | KIND/NAME")
    parser.add_argument("-l", "--selector", metavar="LABEL=VALUE", help="objects of KIND with these labels")
    add_namespace(parser)


def run(args: argparse.Namespace) -> int:
    client = context.client(args)
    kinds, names = references(args.what)
    found = [(kind, client.get(target(args, kind, name))) for kind, name in names]
    for kind in kinds:
        found += [(kind, obj) for obj in client.items(target(args, kind), {"labelSelector": args.selector})]
    for number, (kind, obj) in enumerate(found):
        print(("\n" if number else "") + text(client, kind, obj))
    if not found:
        print("nothing found")
    return 0


def text(client: Client, kind: Kind, obj: dict[str, Any]) -> str:
    meta, columns = obj["metadata"], TABLE.get(kind.kind, OTHERS)
    head = [("Name", meta["name"]), ("Namespace", meta.get("namespace")), ("Kind", f"{kind.kind} ({kind.api_version})"),
            ("Age", age(meta.get("creationTimestamp"))), ("UID", meta.get("uid"))]  # fmt: skip
    head += [(name.capitalize(), value) for name, value in zip(columns[0], columns[1](obj), strict=True)]
    owners = [f"{o['kind'].lower()}/{o['name']}" for o in meta.get("ownerReferences") or []]
    head += [("Owned by", ", ".join(owners))] if owners else []
    parts = ["\n".join(f"{name + ':':<14} {value}" for name, value in head if value)]
    rest = {key: value for key, value in meta.items() if key not in HIDDEN and key != "ownerReferences"}
    body = {
        **({"metadata": rest} if rest else {}),
        **{k: v for k, v in obj.items() if k not in ("metadata", "kind", "apiVersion")},
    }
    if kind.kind == "Secret":
        body = {**body, "data": {key: f"{len(value) * 3 // 4} bytes" for key, value in (obj.get("data") or {}).items()}}
    parts.append(dump(body, "yaml"))
    if kind.kind != "Event":
        parts.append(_events(client, kind, meta))
    parts += why(kind, obj)
    return "\n\n".join(parts)


def _events(client: Client, kind: Kind, meta: dict[str, Any]) -> str:
    about = f"involvedObject.kind={kind.kind},involvedObject.name={meta['name']}"
    found = client.items(path("events", meta.get("namespace")), {"fieldSelector": about})
    if not found:
        return "Events: none"
    rows = events.rows(sorted(found, key=events.moment), namespaces=False)
    return "Events:\n" + table(["AGE", "TYPE", "REASON", "OBJECT", "MESSAGE"], rows)


def why(kind: Kind, obj: dict[str, Any]) -> list[str]:
    """Two lines for a person in a hurry."""
    reason = pod_why(obj) if kind.kind == "Pod" else workload_why(obj)
    if kind.kind == "Stack":
        ready: dict[str, Any] = next(
            (c for c in (obj.get("status") or {}).get("conditions") or [] if c["type"] == "Ready"), {}
        )
        reason = "" if ready.get("status") == "True" else str(ready.get("message") or "")
    if not reason:
        return ["Why: all is well"]
    first, _, then = reason.partition("; next try ")
    return [f"Why: {first}\nNext: {'next try ' + then if then else 'it goes on by itself when that changes'}"]
