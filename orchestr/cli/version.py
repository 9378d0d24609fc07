"""`orch version`."""

import argparse

from orchestr import __version__
from orchestr.cli import OK, context
from orchestr.cli.options import add_output
from orchestr.cli.output import dump
from orchestr.client.http import NoDaemon


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--client", action="store_true", help="only this command's own")
    add_output(parser, "json", "yaml")


def run(args: argparse.Namespace) -> int:
    found: dict[str, object] = {"client": {"version": __version__}}
    if not args.client:
        try:
            system = context.client(args).get("/orchestr.dev/v1/system")
            found["daemon"] = {"version": system["version"]}
        except NoDaemon as error:
            found["daemon"] = {"error": str(error)}
    if args.output:
        print(dump(found, args.output))
        return OK
    for name, value in found.items():
        assert isinstance(value, dict)
        print(f"{name:<7} {value.get('version') or 'not running'}")
    return OK
