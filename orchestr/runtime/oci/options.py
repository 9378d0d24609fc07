"""orch-oci's arguments. By hand: argparse would cost more than the launch itself."""

from collections.abc import Mapping
from typing import Final

from orchestr.runtime.seam import RuntimeFailure

GLOBAL: Final = {"root": True, "log": True, "log-format": True, "debug": False}
COMMANDS: Final[Mapping[str, Mapping[str, bool]]] = {  # option: whether it takes a value
    "create": {"bundle": True, "pid-file": True, "console-socket": True},
    "run": {"bundle": True, "pid-file": True, "console-socket": True, "detach": False},
    "start": {},
    "state": {},
    "kill": {"all": False},
    "delete": {"force": False},
    "exec": {
        "process": True, "detach": False, "pid-file": True, "console-socket": True, "cwd": True, "env": True,
        "user": True,
    },
    "list": {"quiet": False, "format": True},
    "ps": {"format": True},
    "pause": {},
    "resume": {},
    "update": {"resources": True},
    "spec": {"bundle": True},
    "plan": {"bundle": True, "format": True},
    "features": {},
    "help": {},
}  # fmt: skip
_SHORT: Final = {
    "b": "bundle",
    "d": "detach",
    "f": "force",
    "q": "quiet",
    "p": "process",
    "e": "env",
    "u": "user",
    "a": "all",
}
Options = dict[str, list[str]]


def parse(argv: list[str]) -> tuple[Options, str, Options, list[str]]:
    """(global options, command, its options, the rest). RuntimeFailure on what is not known."""
    common, rest = _take(argv, GLOBAL)
    if not rest:
        return common, "help", {}, []
    if rest[0] not in COMMANDS:
        raise RuntimeFailure(f"cannot {rest[0]}: not supported (one of {', '.join(COMMANDS)})")
    options, words = _take(rest[1:], COMMANDS[rest[0]])
    return common, rest[0], options, words


def _take(argv: list[str], known: Mapping[str, bool]) -> tuple[Options, list[str]]:
    """Options up to the first other word: what follows belongs to that (exec ID COMMAND -flag)."""
    options: Options = {}
    words = list(argv)
    while words and words[0].startswith("-") and words[0] != "--":
        word = words.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        name = _SHORT.get(name, name) if not word.startswith("--") else name
        if name not in known:
            raise RuntimeFailure(f"cannot use option {word}: not supported (one of {', '.join(known) or 'none'})")
        if known[name] and not equals:
            if not words:
                raise RuntimeFailure(f"cannot use option {word}: it needs a value")
            value = words.pop(0)
        options.setdefault(name, []).append(value)
    return options, words[1:] if words[:1] == ["--"] else words
