"""`orch attach [-it] TARGET`: see what a container writes from now on, and type into it; Ctrl-P Ctrl-Q leaves it.

On a terminal, what the container has is taken without -i and -t, as with Compose.
"""

import argparse
import sys

from orchestr.cli import OK, context, targets
from orchestr.cli.errors import Bad, Failed
from orchestr.cli.exec import LEAVE, Detached, pump, raw
from orchestr.cli.options import add_namespace

EXAMPLES = """examples:
  orch attach web             what its container writes
  orch attach -it console     the terminal of a container with stdin_open and tty; Ctrl-P Ctrl-Q leaves it"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-i", "--stdin", action="store_true", help="pass our input on, if the container reads any")
    parser.add_argument("-t", "--tty", action="store_true", help="its terminal, if it has one")
    parser.add_argument("--no-stdin", action="store_true", help="only look, also where it reads and we have a terminal")
    parser.add_argument("--index", type=int, metavar="N", help="the Nth container of the service, from 1")
    parser.add_argument("-c", "--container", metavar="NAME", help="the container (default: the first)")
    parser.add_argument("target", metavar="TARGET", help="a service, a pod or kind/name")
    add_namespace(parser, all_=False)


def run(args: argparse.Namespace) -> int:
    client, namespace = context.client(args), context.namespace(args)
    found = targets.pods(client, namespace, [args.target])
    pod = targets.running(targets.indexed(found, args.index) if args.index else found)
    if pod is None:
        raise Failed(f"orch attach: no pod of {args.target} is running (orch status says why)")
    name = targets.container(pod, args.container)
    kinds = ("containers", "initContainers", "ephemeralContainers")
    spec = next(each for kind in kinds for each in pod["spec"].get(kind) or [] if each["name"] == name)
    if not (args.stdin or args.tty or args.no_stdin) and sys.stdin.isatty() and sys.stdout.isatty():
        args.stdin, args.tty = bool(spec.get("stdin")), bool(spec.get("tty"))  # as Compose does
    if args.stdin and not spec.get("stdin"):
        raise Bad(f"orch attach: container {name} reads no input (leave -i out, or set stdin: true)")
    if args.tty and not spec.get("tty"):
        raise Bad(f"orch attach: container {name} has no terminal (leave -t out, or set tty: true)")
    if args.tty and not sys.stdin.isatty():
        raise Bad("orch attach: -t needs a terminal as input (leave -t out)")
    stream = client.attach(
        namespace, pod["metadata"]["name"], container=name, stdin=args.stdin, tty=bool(spec.get("tty"))
    )
    try:
        code = raw(stream, LEAVE) if args.tty else pump(stream, 0 if args.stdin else -1)
    except Detached:
        return OK
    finally:
        stream.close()
    if stream.error:
        print(f"orch attach: {stream.error}", file=sys.stderr)
    return code
