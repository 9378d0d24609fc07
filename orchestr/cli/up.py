"""`orch up [SERVICE ...]`: a Compose project runs, as `docker compose up` has it: in the foreground with all its logs,
or with -d in the background once it is well."""

import argparse
import os
import sys
import time
from typing import Any

from orchestr.cli import apply, composebuild, files, project, selection
from orchestr.cli.errors import Bad
from orchestr.cli.options import add_namespace, duration
from orchestr.cli.project import Project
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch up                        the project here, with its logs, until ^C stops it
  orch up -d                     and leave it running; returns when all is well
  orch up -d --scale web=3 web   one service and what it waits for
exit codes: 0 converged, 1 failed, 2 bad input, 3 timeout, 5 no daemon, 130 ended by ^C"""

PULLS = ("always", "missing", "never")


def add(parser: argparse.ArgumentParser) -> None:
    files.add(parser)
    flag = parser.add_argument
    flag("services", nargs="*", metavar="SERVICE", help="only these, and what they wait for (default: all)")
    flag("-d", "--detach", action="store_true", help="in the background; returns when all is well")
    flag("--wait", action="store_true", help="as -d")
    flag("--wait-timeout", type=duration, metavar="SECONDS", default=300.0, help="how long to wait (default 5m)")
    flag("--no-deps", action="store_true", help="not what the services wait for")
    flag("--scale", action="append", default=[], metavar="SERVICE=N", help="another number of containers")
    flag("--force-recreate", action="store_true", help="new containers even where nothing has changed")
    flag("--no-recreate", action="store_true", help="leave what is there as it is")
    flag("--remove-orphans", action="store_true", help="stop services that are not in the files")
    flag("-t", "--timeout", type=int, metavar="SECONDS", help="what containers get to end, instead of their own")
    flag("--pull", choices=PULLS, default="missing", help="before it starts: images anew, or only those not here")
    flag("--build", action="store_true", help="build images anew, and replace what runs another one")
    flag("--no-build", action="store_true", help="build nothing, even what is not here")
    flag("--quiet-pull", action="store_true", help="without the progress of pulls")
    flag("--abort-on-container-exit", action="store_true", help="stop all when one container ends")
    flag("--abort-on-container-failure", action="store_true", help="stop all when one container fails")
    flag("--exit-code-from", metavar="SERVICE", help="stop all when it ends, and exit as it did")
    flag("--attach", action="append", default=[], metavar="SERVICE", help="only logs of these")
    flag("--no-attach", action="append", default=[], metavar="SERVICE", help="no logs of these")
    flag("--no-color", action="store_true", help="as --color never")
    flag("--no-log-prefix", action="store_true", help="logs without the name of the source")
    flag("--timestamps", action="store_true", help="logs with the time of each line")
    flag("-q", "--quiet", action="store_true", help="print only what failed")
    flag("-y", "--yes", action="store_true", help="nothing is asked: as it is")
    add_namespace(parser, all_=False)
    parser.set_defaults(force_conflicts=True, prune=False, selector=None, output="", dry_run=None)


def run(args: argparse.Namespace) -> int:
    check(args)
    begun = time.time()
    loaded = files.load(args)
    client = apply.started(args)
    items = files.wire(loaded, args.namespace)
    stack = next((item for item in items if item["kind"] == "Stack"), None)
    if stack is None:
        raise Bad("orch up: the files are no Compose project (orch apply takes every object)")
    before = project.seek(client, stack["metadata"]["namespace"])
    files.claim(args, stack, before.stack if before else None)
    there = stack["spec"].get("services") or {}
    names = _wanted(args, stack)
    if not args.no_build:
        composebuild.missing(client, args, names, anew=args.build, policies=True)
    built = composebuild.services(args)
    _pull(client, args, stack, [name for name in names if name not in built])
    stored = before.stack["spec"] if before else {}
    stay = _staying(args, set(stored.get("services") or {}) - there.keys())
    stack["spec"] = selection.merged(stack["spec"], stored, names, recreate=not args.no_recreate, stay=stay)
    stack["spec"] = selection.scaled(stack["spec"], _counts(args, stack["spec"]["services"]))
    if before:
        from orchestr.cli import halting

        if args.timeout is not None:
            halting.limit(before, [name for name in names if name in before.services], args.timeout)
        project.mark(before, started=names)
    results = apply.send(client, args, loaded, items, dry_run=False)
    if not args.quiet:
        apply.tell(args, results)
    now = Project(client, stack["metadata"]["namespace"], next(r["object"] for r in results if _is_stack(r)))
    anew = _recreated(args, now, before, names)
    if args.detach or args.wait:
        from orchestr.cli.follow import follow

        kept = [result["object"] for result in results]
        return follow(client, [*kept, *anew], timeout=args.wait_timeout, color=args.color, quiet=args.quiet, only=names)
    from orchestr.cli.foreground import foreground

    return foreground(now, args, names, begun)


def _is_stack(result: dict[str, Any]) -> bool:
    return bool(result["object"]["kind"] == "Stack")


def check(args: argparse.Namespace) -> None:
    """Bad for options that exclude each other."""
    if args.build and args.no_build:
        raise Bad("orch up: --build and --no-build exclude each other (leave one out)")
    if args.force_recreate and args.no_recreate:
        raise Bad("orch up: --force-recreate and --no-recreate exclude each other (leave one out)")
    aborts = args.abort_on_container_exit or args.abort_on_container_failure or args.exit_code_from
    if aborts and (args.detach or args.wait):
        raise Bad("orch up: what ends it with a container needs the foreground (leave -d out)")


def _wanted(args: argparse.Namespace, stack: dict[str, Any]) -> list[str]:
    """The services that this is about."""
    services = stack["spec"].get("services") or {}
    by_name = {name: name for name in services}
    where = f"project {stack['metadata']['name']}"
    for word in (*args.attach, *args.no_attach, *([args.exit_code_from] if args.exit_code_from else [])):
        project.named([word], by_name, where)
    names = project.named(args.services, by_name, where)
    if not names:
        return list(services)
    return names if args.no_deps else selection.with_dependencies(services, names)


def _staying(args: argparse.Namespace, candidates: set[str]) -> set[str]:
    """Services that are there, are not in the files in any profile, and stay; what is said of them is said here."""
    if not candidates:
        return set()
    unknown = candidates - files.every_service(args)
    if args.remove_orphans or os.environ.get("COMPOSE_REMOVE_ORPHANS", "").lower() in ("1", "true"):
        return candidates - unknown
    if unknown and os.environ.get("COMPOSE_IGNORE_ORPHANS", "").lower() not in ("1", "true"):
        names = ", ".join(sorted(unknown))
        print(
            f"warning: not in the files, and left as they are: {names} (--remove-orphans stops them)", file=sys.stderr
        )
    return candidates


def _counts(args: argparse.Namespace, services: dict[str, Any]) -> dict[str, int]:
    found = {}
    for word in args.scale:
        name, _, number = word.partition("=")
        if not (number.isascii() and number.isdigit()):
            raise Bad(f"orch up: --scale {word} has no number of containers (write --scale {name}=3)")
        if name not in services:
            raise Bad(f"orch up: --scale {word} names no service (there are: {', '.join(services)})")
        found[name] = int(number)
    return found


def _pull(client: Client, args: argparse.Namespace, stack: dict[str, Any], names: list[str]) -> None:
    """--pull always, and services with pull_policy always: their images now, so that a new one makes new containers."""
    services = {name: stack["spec"]["services"][name] for name in names}
    every = [s for s in services.values() if args.pull == "always" or s.get("pull_policy") == "always"]
    if args.pull == "never":
        from orchestr.cli.imagenames import digest

        missing = [name for name, service in services.items() if not digest(client, service["image"])]
        if missing:
            raise Bad(f"orch up: --pull never, and the images of {', '.join(missing)} are not here (orch pull)")
    if every and args.pull != "never":
        from orchestr.cli.image import exchange

        exchange(client, "pull", list(dict.fromkeys(service["image"] for service in every)), quiet=args.quiet_pull)


def _recreated(
    args: argparse.Namespace, now: Project, before: Project | None, names: list[str]
) -> list[dict[str, Any]]:
    """New containers where they are forced, or where the image of that name is not what they run."""
    if before is None or args.no_recreate:
        return []
    there = [name for name in names if name in before.services]
    if not args.force_recreate:
        from orchestr.cli.imagenames import outdated

        there = outdated(now, there)
    if not there:
        return []
    from orchestr.cli import recreate

    return recreate.services(now, there)
