"""Workloads by the names people type: `web`, `deployment/web`, all of a project. For restart and scale."""

import argparse
from typing import Any

from orchestr.api.labels import SERVICE
from orchestr.cli import context
from orchestr.cli.errors import Failed
from orchestr.cli.kinds import Kind, find, references
from orchestr.cli.why import owned
from orchestr.client.paths import path
from orchestr.client.sync import Client

Found = tuple[Kind, dict[str, Any]]


def find_all(client: Client, args: argparse.Namespace, words: list[str], plurals: tuple[str, ...]) -> list[Found]:
    """The workloads that are meant; none named: all of the namespace. Failed names what is there."""
    namespace = context.namespace(args)
    there = [
        (find(plural), {"kind": find(plural).kind, **obj})
        for plural in plurals
        for obj in client.items(path(plural, namespace, group=find(plural).group))
        if (owned(obj) or ("", ""))[0] != "Deployment"  # a Deployment's ReplicaSets are its own affair
    ]
    if not words:
        return there
    chosen: list[Found] = []
    for word in words:
        wanted = references([word])[1][0] if "/" in word else (None, word)
        found = [each for each in there if wanted[1] in _names(each[1]) and wanted[0] in (None, each[0])]
        if not found:
            names = ", ".join(f"{kind.kind.lower()}/{obj['metadata']['name']}" for kind, obj in there) or "none"
            raise Failed(f"orch {args.called}: no workload {word!r} in namespace {namespace} (there are: {names})")
        chosen += found
    return chosen


def _names(obj: dict[str, Any]) -> tuple[str, ...]:
    """What people call it: its own name, and its service in the Compose file."""
    return obj["metadata"]["name"], (obj["metadata"].get("labels") or {}).get(SERVICE, "")


def target(found: Found) -> str:
    kind, obj = found
    return path(kind.plural, obj["metadata"]["namespace"], obj["metadata"]["name"], group=kind.group)
