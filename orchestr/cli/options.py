"""Parses a command's words with argparse. Options that every command has: --instance, --host, -n, --color."""

import argparse
import importlib
import os
from types import ModuleType
from typing import NoReturn

from orchestr.cli import COMMANDS
from orchestr.cli.errors import Bad

# what decides which Compose project is meant, and how it is read; also where a command has no such options of its own
SCOPE = {
    "files": None, "project": None, "project_directory": None, "profiles": None, "env_files": None, "strict_env": False
}  # fmt: skip
REPEATED = ("files", "profiles", "env_files")


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Bad(f"{self.prog}: {message} (see {self.prog} --help)")


def parse(
    command: str, called: str, words: list[str], before: dict[str, list[str]]
) -> tuple[ModuleType, argparse.Namespace]:
    """The command's module and its arguments. `before`: options that stood in front of the command."""
    module = importlib.import_module(f"orchestr.cli.{command.replace('-', '_')}")
    help_ = next(help_ for name, _, _, help_ in COMMANDS if name == command)
    parser = Parser(
        prog=f"orch {called}",
        description=help_,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=getattr(module, "EXAMPLES", None),
    )
    parser.set_defaults(called=called, **SCOPE)
    parser.add_argument("--instance", default=_last(before, "instance"), metavar="NAME", help="the daemon's instance")
    parser.add_argument("--host", "-H", default=_last(before, "host"), metavar="ADDR", help="the daemon's address")
    parser.add_argument(
        "--kubeconfig",
        default=_last(before, "kubeconfig"),
        metavar="FILE",
        help="a server by https, as kubectl has it",
    )
    parser.add_argument("--context", default=_last(before, "context"), metavar="NAME", help="which of the kubeconfig's")
    parser.add_argument("--color", choices=("auto", "always", "never"), default=_last(before, "color") or "auto")
    module.add(parser)
    _everywhere(parser)
    args = parser.parse_args(words)
    args.words = words  # as typed: argparse takes a `--` away
    for name in before.keys() & SCOPE.keys():
        if not getattr(args, name):
            setattr(args, name, before[name] if name in REPEATED else before[name][-1])
    if before.get("namespace") and not getattr(args, "namespace", None):
        args.namespace = before["namespace"][-1]
    if args.instance is not None:
        os.environ["ORCH_INSTANCE"] = args.instance
    return module, args


def _everywhere(parser: argparse.ArgumentParser) -> None:
    """The options of every command also behind its verb: `orch system stop --instance lab`."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in {id(each): each for each in action.choices.values()}.values():
                for flags in (("--instance",), ("--host", "-H"), ("--kubeconfig",), ("--context",), ("--color",)):
                    verb.add_argument(*flags, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def _last(before: dict[str, list[str]], name: str) -> str | None:
    return before[name][-1] if before.get(name) else None


def add_namespace(parser: argparse.ArgumentParser, *, all_: bool = True) -> None:
    parser.add_argument("-n", "--namespace", metavar="NS", help="the namespace (default: the project's, else default)")
    if all_:
        parser.add_argument("-A", "--all-namespaces", action="store_true", help="all namespaces")


def add_scope(parser: argparse.ArgumentParser) -> None:
    """-f, -p and -n: which project is meant."""
    parser.add_argument(
        "-f", "--file", dest="files", action="append", metavar="FILE", help="the project's Compose file"
    )
    parser.add_argument("-p", "--project-name", dest="project", metavar="NAME", help="the project's name")
    parser.add_argument("--project-directory", metavar="DIR", help="what relative paths start from")
    add_namespace(parser, all_=False)


def add_output(parser: argparse.ArgumentParser, *formats: str) -> None:
    parser.add_argument("-o", "--output", choices=formats, default="", metavar="|".join(formats), help="form of output")


def duration(text: str) -> float:
    """ "90", "90s", "1m30s", "2h" in seconds, for argparse."""
    import re

    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)(?:s|$))?(?:(\d+)ms)?", text)
    if not text or found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration (write 90s, 1m30s or 2h)")
    hours, minutes, seconds, millis = (float(group or 0) for group in found.groups())
    return hours * 3600 + minutes * 60 + seconds + millis / 1000


def moment(text: str) -> float:
    """A time in seconds since the epoch, for argparse: so long ago ("10m"), or as RFC 3339 ("2026-01-02T13:23:37Z")."""
    import time

    if text[4:5] != "-":
        return time.time() - duration(text)
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time (write 10m, or 2026-01-02T13:23:37Z)") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
