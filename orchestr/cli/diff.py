"""`orch diff -f FILE`: what apply would change, field by field. Exit 0: nothing, 1: something, 2 or more: trouble."""

import argparse
from collections.abc import Iterator
from typing import Any

from orchestr.api.errors import ApiError, NotFound
from orchestr.cli import apply, context, files
from orchestr.cli.errors import Bad, Failed
from orchestr.cli.kinds import Kind, find
from orchestr.cli.options import add_namespace
from orchestr.cli.output import colored, dump, paint
from orchestr.client.paths import path
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch diff -f stack.yaml && echo nothing to do"""

NOISE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")
TROUBLE = 2


def add(parser: argparse.ArgumentParser) -> None:
    files.add(parser)
    parser.add_argument("--prune", action="store_true", help="also show what --prune would delete")
    parser.add_argument("-l", "--selector", metavar="LABEL=VALUE", help="with --prune: only objects with these labels")
    parser.add_argument(
        "--force-conflicts", action="store_true", help="as if fields were taken over from other managers"
    )
    add_namespace(parser, all_=False)


def run(args: argparse.Namespace) -> int:
    loaded = files.load(args)
    context.server(args)  # it may name the namespace
    items = files.wire(loaded, args.namespace)
    client, on = context.client(args), colored(args.color)
    try:
        results = apply.send(client, args, loaded, items, dry_run=True)
        texts = [text for result in results if (text := difference(client, result))]
    except (Bad, Failed) as error:
        raise Failed(str(error), TROUBLE) from error
    except ApiError as error:
        causes = "".join(f"\n  {cause.field}: {cause.message}" for cause in error.causes)
        raise Failed(f"orch: {error.message}{causes}", TROUBLE) from error
    for text in texts:
        for line in text:
            color = {"+": "green", "-": "red"}.get(line[:1], "") if line[:3] not in ("+++", "---") else "bold"
            print(paint(line, color, on) if color else line)
    return 1 if texts else 0


def difference(client: Client, result: dict[str, Any]) -> list[str]:
    """A unified diff of one object's YAML, [] when nothing changes. Content of Secrets is never shown."""
    if result["action"] == "unchanged":
        return []
    obj = result["object"]
    meta, kind = obj["metadata"], find(obj["kind"])
    before = None if result["action"] == "created" else _stored(client, kind, meta)
    after = None if result["action"] == "pruned" else obj
    name = f"{obj['kind'].lower()}/{meta['name']}" + (f" -n {meta['namespace']}" if meta.get("namespace") else "")
    return list(_unified(name, clean(before), clean(after)))


def _stored(client: Client, kind: Kind, meta: dict[str, Any]) -> dict[str, Any] | None:
    try:
        where = path(kind.plural, meta.get("namespace"), meta["name"], group=kind.group, version=kind.version)
        return client.get(where)
    except NotFound:
        return None


def clean(obj: dict[str, Any] | None) -> str:
    """The part that a person wrote or means, as YAML."""
    if obj is None:
        return ""
    shown = {key: value for key, value in obj.items() if key != "status"}
    shown["metadata"] = {key: value for key, value in obj["metadata"].items() if key not in NOISE}
    if obj["kind"] == "Secret":
        import hashlib

        for field in ("data", "stringData"):
            if field in shown:
                shown[field] = {
                    key: f"<hidden {hashlib.sha256(str(value).encode()).hexdigest()[:8]}>"
                    for key, value in shown[field].items()
                }
    return dump(shown, "yaml")


def _unified(name: str, before: str, after: str) -> Iterator[str]:
    import difflib

    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"now {name}", f"then {name}", lineterm="", n=3
    )
    return (line for line in lines)
