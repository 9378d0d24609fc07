"""`orch ls`: the Compose projects of this machine."""

import argparse
import json

from orchestr.api.labels import CONFIG_FILES
from orchestr.cli import OK, context
from orchestr.cli.output import table
from orchestr.client.paths import path

EXAMPLES = """examples:
  orch ls          projects of which something runs
  orch ls -a       all"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="stopped ones, too")
    parser.add_argument("-q", "--quiet", action="store_true", help="only names")
    parser.add_argument("--format", choices=("table", "json"), default="table")


def run(args: argparse.Namespace) -> int:
    stacks = context.client(args).items(path("stacks", None, group="orchestr.dev"))
    rows = [(stack["metadata"]["name"], *_state(stack), _files(stack)) for stack in stacks]
    rows = sorted(row for row in rows if args.all or row[1])
    if args.quiet:
        print("\n".join(row[0] for row in rows))
    elif args.format == "json":
        print(json.dumps([{"Name": name, "Status": text, "ConfigFiles": files} for name, _, text, files in rows]))
    else:
        print(table(["NAME", "STATUS", "CONFIG FILES"], [[name, text, files] for name, _, text, files in rows]))
    return OK


def _state(stack: dict[str, dict[str, object]]) -> tuple[bool, str]:
    """(whether anything runs, "running(2), stopped(1)")."""
    rows = stack.get("status", {}).get("services") or []
    assert isinstance(rows, list)
    phases = [str(row.get("phase", "Pending")).lower() for row in rows]
    counts = [f"{phase}({phases.count(phase)})" for phase in dict.fromkeys(phases)]
    return any(phase not in ("stopped", "complete", "failed") for phase in phases), ", ".join(counts)


def _files(stack: dict[str, dict[str, object]]) -> str:
    annotations = stack["metadata"].get("annotations") or {}
    assert isinstance(annotations, dict)
    return str(annotations.get(CONFIG_FILES, ""))
