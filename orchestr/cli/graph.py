"""`orch graph [-f FILE]`: who waits for whom. With -f no daemon is needed."""

import argparse

from orchestr.cli import OK, context, files
from orchestr.cli.options import add_namespace, add_output
from orchestr.client.paths import path

EXAMPLES = """examples:
  orch graph -f stack.yaml            a tree
  orch graph -n shop -o svg > g.svg   a picture of what is stored"""

KINDS = (
    "deployments",
    "statefulsets",
    "daemonsets",
    "replicasets",
    "jobs",
    "pods",
    "configmaps",
    "secrets",
    "persistentvolumeclaims",
)


def add(parser: argparse.ArgumentParser) -> None:
    files.add(parser)
    add_output(parser, "text", "dot", "mermaid", "svg")
    add_namespace(parser)


def run(args: argparse.Namespace) -> int:
    from orchestr import drawing, graph
    from orchestr.api.base import KubeObject
    from orchestr.api.scheme import decode

    objects: list[KubeObject]
    if args.files or (not args.namespace and not args.all_namespaces and context.compose_files(args)):
        objects = of_files(args)
    else:
        from orchestr.cli.kinds import find

        client, where = context.client(args), None if args.all_namespaces else context.namespace(args)
        objects = []
        for plural in KINDS:
            kind = find(plural)
            for item in client.items(path(plural, where, group=kind.group, version=kind.version)):
                objects.append(decode({"apiVersion": kind.api_version, "kind": kind.kind, **item}))
    drawn = graph.build(objects)
    draw = {"dot": drawing.dot, "mermaid": drawing.mermaid, "svg": drawing.svg}.get(args.output, drawing.text)
    print(draw(drawn).rstrip())
    return OK


def of_files(args: argparse.Namespace) -> "list":  # type: ignore[type-arg]
    """Objects of the files; Stacks compiled to what they become."""
    from orchestr.api.stack import Stack
    from orchestr.manifest.compose import compile

    objects = []
    for one in files.load(args):
        objects.append(one.object)
        if isinstance(one.object, Stack):
            objects += compile(one.object)
    return objects
