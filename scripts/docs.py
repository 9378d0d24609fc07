"""Generates docs/cli.md, docs/kubernetes.md and docs/compose.md from the code; --check only says which are stale.

The command line's page comes from the parsers' options, not from their help texts, whose layout differs between
versions of Python.
"""

import argparse
import importlib
import io
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

from orchestr.api import matrix as kubernetes
from orchestr.cli import COMMANDS
from orchestr.manifest.compose import matrix as compose

DOCS = Path(__file__).resolve().parent.parent / "docs"

CLI_HEAD = """\
# Command line

Made by `make docs` from the commands themselves; do not edit.

`orch [OPTIONS] COMMAND ...`. Before the command may stand `--instance NAME`, `--host ADDR`, `-f FILE`, `-p PROJECT`,
`-n NAMESPACE`, `--profile NAME`, `--env-file FILE`, `--project-directory DIR`, `--kubeconfig FILE`, `--color` (or
`--ansi`); `--instance`, `--host`, `--kubeconfig` and `--color` may also follow it. `-f` and `-p` behind the command are
the command's own.

- `--instance NAME` (or `ORCH_INSTANCE`): which daemon of this machine, where several run side by side.
- `--host ADDR`, `-H` (or `ORCH_HOST`): the daemon's address, instead of the instance's socket.
- `--kubeconfig FILE`, `--context NAME`: a server by https, as `orch kubeconfig` prints it and kubectl reads it.
- `--color auto|always|never`: colours on a terminal, or as said.

Without `-n`, a command means the Compose project in scope: `-p` or `COMPOSE_PROJECT_NAME`, else that of the files
(`-f`, `COMPOSE_FILE`, those here or in a folder above); without any, the namespace `default`.

A bare NAME is a service of the project in scope, else a pod, else a workload of that name; `KIND/NAME` is an object.

## Exit codes

| code | meaning |
| --- | --- |
| 0 | done; `apply`: converged |
| 1 | failed; `diff`: something would change |
| 2 | bad input; nothing was changed |
| 3 | not done within the time given |
| 4 | rolled back |
| 5 | no daemon answers |
| 130 | ended by Ctrl-C |

`exec` and `run` end with the exit code of their command, `run` with 125 when it could not be started;
`up --exit-code-from` with that of a container.
"""


def cli() -> Iterator[str]:
    yield CLI_HEAD
    for name, aliases, _, help_ in COMMANDS:
        module = importlib.import_module(f"orchestr.cli.{name.replace('-', '_')}")
        parser = argparse.ArgumentParser(prog=f"orch {name}", add_help=False)
        module.add(parser)
        yield f"## orch {name}\n"
        yield (
            f"{help_[0].upper()}{help_[1:]}."
            + (f" Also: `orch {'`, `orch '.join(aliases)}`." if aliases else "")
            + "\n"
        )
        yield from _options(parser)
        for verb, sub in _verbs(parser):
            yield f"### orch {name} {verb}\n"
            yield from _options(sub)
        examples = getattr(module, "EXAMPLES", "")
        if examples:
            yield f"```\n{examples}\n```\n"


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    actions = [
        each for each in parser._actions if not isinstance(each, (argparse._SubParsersAction, argparse._HelpAction))
    ]
    if parser.description:
        yield f"{parser.description}\n"
    if actions:
        yield "| option | meaning |\n| --- | --- |"
        yield from (f"| `{_shape(each)}` | {_cell(_help(parser, each))} |" for each in actions)
        yield ""


def _shape(action: argparse.Action) -> str:
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    value = " ".join(value) if isinstance(value, tuple) else value
    if not action.option_strings:
        return _cell(value)
    words = ", ".join(action.option_strings)
    return _cell(words if action.nargs == 0 else f"{words} {value}")


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    if not action.help:
        return ""
    return action.help % {**vars(action), "prog": parser.prog} if "%" in action.help else action.help


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _verbs(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Each verb once, though its aliases lead to the same parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help for each in action._choices_actions}
            seen: set[int] = set()
            for verb, sub in action.choices.items():
                if id(sub) not in seen:
                    seen.add(id(sub))
                    text = next((said for name, said in helps.items() if name.split(" ")[0] == verb), "") or ""
                    sub.description = sub.description or (f"{text[0].upper()}{text[1:]}." if text else None)
                    yield verb, sub


def pages() -> dict[str, str]:
    """File name: text."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        print("\n".join(kubernetes.lines()))
    return {
        "cli.md": "\n".join(cli()).rstrip() + "\n",
        "kubernetes.md": printed.getvalue(),
        "compose.md": compose.markdown(),
    }


def stale() -> list[str]:
    """Names of the pages that do not say what the code says."""
    return [name for name, text in pages().items() if not (DOCS / name).is_file() or (DOCS / name).read_text() != text]


def main() -> None:
    if sys.argv[1:] == ["--check"]:
        if old := stale():
            sys.exit(f"stale: {', '.join(f'docs/{name}' for name in old)} (run: make docs)")
        return
    for name, text in pages().items():
        (DOCS / name).write_text(text)


if __name__ == "__main__":
    main()
