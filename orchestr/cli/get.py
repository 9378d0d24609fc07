"""`orch get KIND [NAME ...]`: objects as a table, JSON, YAML or names."""

import argparse
from collections.abc import Iterator
from typing import Any

from orchestr.api.errors import NotFound
from orchestr.cli import columns, context
from orchestr.cli.errors import Bad
from orchestr.cli.kinds import Kind, references
from orchestr.cli.options import add_namespace, add_output
from orchestr.cli.output import dump, table
from orchestr.client.paths import path
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch get pods -A                all pods
  orch get deploy web -o yaml     one object, whole
  orch get pods,svc -l app=web    two kinds, selected by label"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="+", metavar="KIND [NAME] | KIND/NAME")
    parser.add_argument("-l", "--selector", metavar="LABEL=VALUE", help="only objects with these labels")
    parser.add_argument("--field-selector", metavar="FIELD=VALUE", help="only objects with these fields")
    parser.add_argument("-w", "--watch", action="store_true", help="go on and print changes")
    parser.add_argument("--no-headers", action="store_true", help="no header line")
    add_output(parser, "json", "yaml", "wide", "name")
    add_namespace(parser)


def run(args: argparse.Namespace) -> int:
    client = context.client(args)
    kinds, names = references(args.what)
    if names and (args.selector or args.all_namespaces):
        raise Bad("orch get: a name goes neither with -l nor with -A (leave one out)")
    found = [(kind, fetch(client, args, kind, name)) for kind, name in names]
    if args.watch and len(kinds) != 1:
        raise Bad("orch get: --watch takes one kind (for example: orch get pods -w)")
    since = ""
    for kind in kinds:
        items, since = listed(client, args, kind)
        found += [(kind, obj) for obj in items]
    show(args, found, single=len(names) == 1)
    if args.watch:
        for obj in changes(client, args, kinds[0], since):
            show(args, [(kinds[0], obj)], single=True, headers=False)
    return 0


def target(args: argparse.Namespace, kind: Kind, name: str = "") -> str:
    """The path of a collection or an object."""
    all_namespaces = getattr(args, "all_namespaces", False)
    where = None if all_namespaces or not kind.namespaced else context.namespace(args)
    return path(kind.plural, where, name, group=kind.group, version=kind.version)


def fetch(client: Client, args: argparse.Namespace, kind: Kind, name: str) -> dict[str, Any]:
    return client.get(target(args, kind, name))


def selection(args: argparse.Namespace) -> dict[str, object]:
    return {"labelSelector": args.selector, "fieldSelector": args.field_selector}


def listed(client: Client, args: argparse.Namespace, kind: Kind) -> tuple[list[dict[str, Any]], str]:
    """The objects, and the revision that a watch goes on from."""
    try:
        answer = client.get(target(args, kind), selection(args))
    except NotFound:
        if args.what[0] != "all":  # of which another server has some kinds
            raise
        return [], ""
    items: list[dict[str, Any]] = answer["items"]
    for item in items:  # items of a list carry no apiVersion and kind of their own in Kubernetes
        item.setdefault("apiVersion", kind.api_version)
        item.setdefault("kind", kind.kind)
    return items, str(answer["metadata"]["resourceVersion"])


def changes(client: Client, args: argparse.Namespace, kind: Kind, since: str) -> Iterator[dict[str, Any]]:
    for event in client.watch(target(args, kind), since=since, query=selection(args)):
        if event["type"] != "BOOKMARK":
            yield event["object"]


def show(
    args: argparse.Namespace, found: list[tuple[Kind, dict[str, Any]]], *, single: bool, headers: bool = True
) -> None:
    objects = [obj for _, obj in found]
    if args.output in ("json", "yaml"):
        whole = objects[0] if single and objects else {"apiVersion": "v1", "kind": "List", "items": objects}
        print(("---\n" if not headers and args.output == "yaml" else "") + dump(whole, args.output), flush=True)
        return
    if args.output == "name":
        for kind, obj in found:
            print(f"{kind.kind.lower()}{'.' + kind.group if kind.group else ''}/{obj['metadata']['name']}", flush=True)
        return
    if not found:
        where = "" if args.all_namespaces else f" in namespace {context.namespace(args)}"
        print(f"nothing found{where}")
    by_kind: dict[Kind, list[dict[str, Any]]] = {}
    for kind, obj in found:
        by_kind.setdefault(kind, []).append(obj)
    for number, (kind, objs) in enumerate(by_kind.items()):
        options = {"wide": args.output == "wide", "namespaces": args.all_namespaces and kind.namespaced}
        rows = [columns.row(kind.kind, obj, **options) for obj in objs]
        text = table(columns.header(kind.kind, **options), rows)
        hidden = args.no_headers or not headers
        print(("\n" if number else "") + (text.partition("\n")[2] if hidden else text), flush=True)
