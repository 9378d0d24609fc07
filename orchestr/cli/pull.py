"""`orch pull [SERVICE ...]`: the images of the project's services; `orch image pull` takes images by name."""

import argparse

from orchestr.cli import OK, apply, files, project, selection
from orchestr.cli.errors import Failed
from orchestr.cli.imagenames import digest
from orchestr.cli.options import add_namespace
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch pull                       of all services
  orch pull --policy missing web  only what is not here yet"""


def add(parser: argparse.ArgumentParser) -> None:
    files.add(parser)
    flag = parser.add_argument
    flag("services", nargs="*", metavar="SERVICE", help="only these services (default: all)")
    flag("--include-deps", action="store_true", help="also what they wait for")
    flag("--policy", choices=("always", "missing"), default="always", help="missing: only what is not here yet")
    flag("--ignore-pull-failures", action="store_true", help="go on with the others, and exit 0")
    flag("-q", "--quiet", action="store_true", help="print only digests")
    add_namespace(parser, all_=False)


def run(args: argparse.Namespace) -> int:
    return exchange(args, "pull")


def images(args: argparse.Namespace, *, dependencies: bool = False) -> list[str]:
    """Of the services that are named, each once."""
    config = files.config(args)
    services = config.get("services") or {}
    names = project.named(args.services, {name: name for name in services}, f"project {config['name']}")
    names = selection.with_dependencies(services, names) if dependencies else names or list(services)
    return list(dict.fromkeys(str(services[name]["image"]) for name in names if services[name].get("image")))


def exchange(args: argparse.Namespace, verb: str) -> int:
    names = images(args, dependencies=args.include_deps and bool(args.services))
    client = apply.started(args)
    failures = [text for name in names if (text := _one(client, args, verb, name))]
    if failures and not getattr(args, f"ignore_{verb}_failures"):
        raise Failed("\n".join(failures))
    return OK


def _one(client: Client, args: argparse.Namespace, verb: str, name: str) -> str:
    """What went wrong, "" when nothing did. What is the machine's own is nowhere else."""
    from orchestr.cli import image

    if verb == "pull" and (name.startswith("local/") or (args.policy == "missing" and digest(client, name))):
        return ""
    try:
        image.exchange(client, verb, [name], quiet=args.quiet)
    except Failed as error:
        return str(error)
    return ""
