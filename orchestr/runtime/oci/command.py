"""Which command, where it is, and how its failure is told."""

import os
import sys
from typing import Final

from orchestr.runtime.oci import log
from orchestr.runtime.oci.options import GLOBAL, Call, Command, Given, take
from orchestr.runtime.seam import RuntimeFailure

VERSION: Final = "1.2.0"  # of the runtime specification
MODULES: Final = {  # of orchestr.runtime.oci; each has COMMANDS
    "checkpoint": "refused",
    "create": "create",
    "delete": "delete",
    "events": "events",
    "exec": "exec",
    "features": "features",
    "help": "help",
    "kill": "kill",
    "list": "listing",
    "pause": "freezer",
    "plan": "planned",
    "ps": "ps",
    "restore": "refused",
    "resume": "freezer",
    "run": "run",
    "spec": "spec",
    "start": "start",
    "state": "listing",
    "update": "update",
}
_HELP: Final = ("-h", "--help", "-?")
_CODES: Final = {"exec": 255}  # as runc's: a code below may be the process's own; but 127 and 126 are as in a shell


def run(argv: list[str]) -> int:
    name = ""
    try:
        before, rest = _before(argv)
        if version := [word for word in before if word in ("-v", "-V", "--version")]:
            before.remove(version[0])
        helps = [word for word in before if word in _HELP]
        common, _ = take([word for word in before if word not in _HELP], GLOBAL, in_order=True)
        log.use(common)
        if version:
            return call("help", root_of(common), common, ["version"])
        if helps or not rest:
            return call("help", root_of(common), common, rest[:1])
        name = rest[0]
        return call(name, root_of(common), common, rest[1:])
    except (RuntimeFailure, OSError) as error:
        log.error(_text(error))
        known = error.exit_code if isinstance(error, RuntimeFailure) and name in ("run", "exec") else None
        return known or _CODES.get(name, 1)


def _text(error: Exception) -> str:
    """One line, whatever the cause."""
    if isinstance(error, OSError) and not isinstance(error, RuntimeFailure):
        where = f" {error.filename}" if error.filename else ""
        return f"cannot use{where}: {error.strerror or error}".replace("\n", " ")
    return str(error).replace("\n", " ")


def _before(argv: list[str]) -> tuple[list[str], list[str]]:
    """What comes before the command, and the rest. A word after an option that takes a value is that value."""
    index = 0
    while index < len(argv) and argv[index].startswith("-"):
        name, equals, _ = argv[index].lstrip("-").partition("=")
        index += 2 if name in GLOBAL and GLOBAL[name].value and not equals else 1
    return argv[:index], argv[index:]


def find(name: str) -> Command:
    if name not in MODULES:
        raise RuntimeFailure(f"cannot {name}: not supported (No help topic for '{name}'; one of {', '.join(MODULES)})")
    # Not by importlib, which this alone would import.
    found: Command = __import__(f"orchestr.runtime.oci.{MODULES[name]}", fromlist=["COMMANDS"]).COMMANDS[name]
    return found


def call(name: str, root: str, common: Given, rest: list[str]) -> int:
    command = find(name)
    words = rest if not command.in_order else rest[: next((i for i, w in enumerate(rest) if w[:1] != "-"), len(rest))]
    if any(word in _HELP for word in words):
        return call("help", root, common, [name])
    given, words = take(rest, command.options, in_order=command.in_order)
    if not command.extra and len(words) > (most := len(command.words.split())):
        raise RuntimeFailure(f"cannot {name}: {' '.join(words[most:])} is one word too many (usage: {command.words})")
    made = Call(root, common, given, words)
    if command.reaches and os.geteuid():
        from orchestr.runtime.oci import rootless, state

        rootless.join(root, state.living(root, made.id))
    return command.run(made)


def root_of(common: Given) -> str:
    if "root" in common and common["root"][-1]:
        return os.path.abspath(common["root"][-1])
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return f"{runtime}/orch-oci" if os.geteuid() and runtime else "/run/orch-oci"


def main() -> int:
    """The exit code; all that was printed is out."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:
        return code or 1
    return code
