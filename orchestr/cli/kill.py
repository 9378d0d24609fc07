"""`orch kill [-s SIGNAL] [SERVICE ...]`: SIGKILL ends services, which stay ended; another signal is only delivered."""

import argparse

from orchestr.cli import OK, halting
from orchestr.cli.errors import Bad
from orchestr.cli.options import add_scope
from orchestr.cli.project import chosen, find
from orchestr.client.paths import in_pod

EXAMPLES = """examples:
  orch kill web             at once, without asking it
  orch kill -s HUP web      its configuration anew"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="services of the project (default: all)")
    parser.add_argument("-s", "--signal", default="KILL", metavar="SIGNAL", help="name or number (default SIGKILL)")
    add_scope(parser)


def run(args: argparse.Namespace) -> int:
    name = signal_name(args.signal)
    project = find(args)
    names = chosen(project, args.services)
    if name == "SIGKILL":
        return halting.kill(project, names)
    for pod in project.pods(names):
        if (pod.get("status") or {}).get("phase") == "Running":
            project.client.create(in_pod(project.namespace, pod["metadata"]["name"], "signal"), {"signal": name})
            print(f"{pod['metadata']['name']} {name}", flush=True)
    return OK


def signal_name(text: str) -> str:
    """ "hup", "SIGHUP" and "1" are SIGHUP. Bad for none."""
    import signal

    try:
        if text.isdecimal():
            return signal.Signals(int(text)).name
        return signal.Signals[f"SIG{text.upper().removeprefix('SIG')}"].name
    except (ValueError, KeyError):
        raise Bad(f"orch kill: {text!r} is no signal (write HUP, SIGHUP or 1)") from None
