"""`orch run IMAGE [COMMAND]` as docker run has it, `orch run SERVICE [COMMAND]` as docker compose run: one pod, now."""

import argparse
import re
import shlex
import sys
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING

from orchestr.api.labels import REMOVE_AFTER
from orchestr.cli import context, files, oneoff, project, runoptions
from orchestr.cli.apply import MANAGER, started
from orchestr.cli.errors import Bad, Failed
from orchestr.cli.options import add_namespace
from orchestr.client.paths import path
from orchestr.client.sync import Client

if TYPE_CHECKING:
    from orchestr.api.errors import ApiError

EXAMPLES = """examples:
  orch run --rm -it debian:12 bash            a shell in an image, gone when it ends
  orch run -d --name db -p 5432:5432 -v data:/var/lib/postgresql/data postgres:16
  orch run --rm api ./manage.py migrate       a command with all that a service of the Compose file has
exit codes: those of the command; 125 it could not be started"""

CANNOT = 125  # as docker run: the command never ran
RESTARTS = {"no": "Never", "always": "Always", "unless-stopped": "Always", "on-failure": "OnFailure"}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--file", dest="files", action="append", metavar="FILE",
                        help="the Compose file whose service it is (default: the one here or above)")  # fmt: skip
    parser.add_argument("-d", "--detach", action="store_true", help="leave it running, and print its name")
    parser.add_argument("--rm", action="store_true", help="delete it when it has ended")
    parser.add_argument("--name", metavar="NAME", help="the pod's name (default: the image's, and some letters)")
    parser.add_argument("--entrypoint", metavar="COMMAND", help='instead of the image\'s; "" is none')
    parser.add_argument("--env-file", "--env-from-file", action="append", default=[], metavar="FILE",
                        help="variables, a line each")  # fmt: skip
    parser.add_argument("--mount", action="append", default=[], metavar="SPEC", help="type=bind|volume|tmpfs,...")
    parser.add_argument("--network", "--net", action="append", default=[], metavar="NAME",
                        help="a network of the namespace (repeat), or host")  # fmt: skip
    parser.add_argument("--network-alias", action="append", default=[], metavar="NAME", help="another name in them")
    parser.add_argument("--restart", choices=RESTARTS, default="no", help="when it is started again")
    parser.add_argument("--stop-timeout", type=int, metavar="SECONDS", help="from the stop signal to SIGKILL")
    parser.add_argument("--no-healthcheck", action="store_true", help="leave the service's healthcheck out")
    parser.add_argument("--detach-keys", default="ctrl-p,ctrl-q", metavar="KEYS", help="what leaves a terminal")
    parser.add_argument("-q", "--quiet", action="store_true", help="do not say what it waits for")
    parser.add_argument("-T", "--no-tty", action="store_true", help="of a service: without a terminal")
    parser.add_argument("--no-deps", action="store_true", help="of a service: do not start what it waits for")
    parser.add_argument("--service-ports", "-P", action="store_true", help="of a service: publish its ports")
    runoptions.add(parser)
    parser.add_argument("image", metavar="IMAGE|SERVICE")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    add_namespace(parser, all_=False)


def run(args: argparse.Namespace) -> int:
    if args.rm and args.restart != "no":
        raise Bad("orch run: --rm goes with no --restart: what is started again never ends (leave one of them out)")
    from orchestr.cli.running import keys

    detach = keys(args.detach_keys)
    given = runoptions.service(args)
    if given.get("tty") and given.get("stdin_open") and not args.detach and not sys.stdin.isatty():
        raise Bad("orch run: -t needs a terminal as input (leave -t out)")
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    if words:
        given["command"] = words
    if args.entrypoint is not None:
        given["entrypoint"] = shlex.split(args.entrypoint)
        given.setdefault("command", [])
    paths = _files(args)
    found = oneoff.project(paths, {}, files.compose_options(args)) if paths else None
    if found and args.image in found.config["services"]:
        client, made = _of_service(args, paths, given)
    elif args.files:
        there = ", ".join(sorted(found.config["services"])) if found else "none"
        raise Bad(f"orch run: no service {args.image!r} in {', '.join(args.files)} (there are {there})")
    else:
        client, made = _of_image(args, given)
    from orchestr.cli import running

    _dress(args, made.pod)
    pod = _create(client, made)
    return running.run(client, pod, made.service, running.Manner(
        detach=args.detach, remove=args.rm, quiet=args.quiet, keys=detach,
    ))  # fmt: skip


def _files(args: argparse.Namespace) -> list[str]:
    """The Compose files that may have the service; none where the name can only be an image's."""
    if args.files:
        return list(args.files)
    if not re.fullmatch(r"[A-Za-z0-9._-]+", args.image) or args.namespace:
        return []
    return context.compose_files(args)


def _of_image(args: argparse.Namespace, given: runoptions.Service) -> tuple[Client, oneoff.Made]:
    for flag, value in (("-T", args.no_tty), ("--no-deps", args.no_deps), ("--service-ports", args.service_ports)):
        if value:
            raise Bad(f"orch run: {flag} is about a service of a Compose file, and {args.image} is an image")
    given["image"] = args.image
    if given.get("tty"):
        given["environment"] = {"TERM": "xterm", **given.get("environment", {})}
    context.server(args)  # it may name the namespace
    namespace = context.namespace(args)
    name = args.name or _name(args.image)
    made = oneoff.of_image(given, args.network, args.network_alias, name=name, namespace=namespace)
    made.pod["spec"]["restartPolicy"] = RESTARTS[args.restart]
    client = started(args)
    _namespace(client, namespace)
    return client, made


def _name(image: str) -> str:
    """Of an image's last word: `ghcr.io/team/app:1` -> `app-3f0a1`."""
    from orchestr.manifest.compose.names import label

    base = re.split(r"[:@]", image.rsplit("/", 1)[-1])[0]
    return f"{label(base)[:50].strip('-')}-{token_hex(3)}"


def _namespace(client: Client, name: str) -> None:
    from orchestr.api.errors import AlreadyExists, NotFound

    try:
        client.get(path("namespaces", None, name))
    except NotFound:
        try:
            client.create(path("namespaces"), {"metadata": {"name": name}})
        except AlreadyExists:
            return


def _of_service(args: argparse.Namespace, paths: list[str], given: runoptions.Service) -> tuple[Client, oneoff.Made]:
    """Also brings about what the service needs: its Stack, with what it depends on."""
    if args.network or args.network_alias or args.restart != "no":
        raise Bad("orch run: --network, --network-alias and --restart are not supported for a service: it has its own")
    ports = oneoff.published(given.pop("ports", []))
    terminal = sys.stdin.isatty() and sys.stdout.isatty() and not args.detach
    given["tty"] = terminal and not args.no_tty
    given["stdin_open"] = not args.detach
    stack = oneoff.project(paths, {args.image: given}, files.compose_options(args))
    *before, whole = stack.objects
    ports += oneoff.ports_of(whole, args.image) if args.service_ports else []
    name = args.name or f"{oneoff.label_of(whole, args.image)[:50].rstrip('-')}-run-{token_hex(3)}"
    deps = not args.no_deps
    made = oneoff.of_service(whole, args.image, ports=ports, name=name, deps=deps)
    client = started(args)
    known = project.seek(client, whole["metadata"]["namespace"])
    there = known.stack if known else None
    wanted = oneoff.around(whole, args.image, there, deps=deps)
    if wanted is not None:
        there = client.apply_all([*before, wanted], manager=MANAGER)[-1]["object"]
    owner = {"apiVersion": whole["apiVersion"], "kind": "Stack", "name": whole["metadata"]["name"]}
    made.pod["metadata"]["ownerReferences"] = [{**owner, "uid": (there or {})["metadata"]["uid"]}]  # goes with it
    return client, made


def _dress(args: argparse.Namespace, pod: oneoff.Object) -> None:
    """What is about this run and not about the image or service."""
    container = pod["spec"]["containers"][0]
    if not args.detach:
        container["stdinOnce"] = True  # who starts it sees all that it writes, and ends its input
    if args.rm:  # by us when we have seen its end; by the daemon when we are not there any more
        pod["metadata"]["annotations"][REMOVE_AFTER] = "0" if args.detach else "60"


def _create(client: Client, made: oneoff.Made) -> oneoff.Object:
    from orchestr.api.errors import AlreadyExists, ApiError

    namespace, name = made.pod["metadata"]["namespace"], made.pod["metadata"]["name"]
    try:
        for claim in made.claims:
            with suppress(AlreadyExists):
                client.create(path("persistentvolumeclaims", namespace), claim)
        pod = client.create(path("pods", namespace), made.pod)
    except AlreadyExists as error:
        raise Failed(f"orch run: pod {name} is there already (orch delete pod {name}, or --name)", CANNOT) from error
    except ApiError as error:
        raise _refused(error) from error
    if made.service is not None:
        owner = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}
        metadata = {**made.service["metadata"], "ownerReferences": [owner]}
        try:
            client.create(path("services", namespace), {**made.service, "metadata": metadata})
        except ApiError as error:
            client.delete(path("pods", namespace, name), {"gracePeriodSeconds": 0})
            raise _refused(error) from error
    return pod


def _refused(error: "ApiError") -> Failed:
    causes = [f"  {each.field}: {each.message}" for each in error.causes if each.message not in error.message]
    return Failed("\n".join([f"orch run: {error.message}", *causes]), CANNOT)
