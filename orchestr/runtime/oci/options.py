"""orch-oci's arguments, in the forms that runc (urfave/cli) and crun (argp) take. By hand: argparse costs 10 ms.

`--name VALUE`, `--name=VALUE`, `-name` (Go), `-x VALUE`, `-xVALUE`, `-xyz` of flags (argp); before and after the id,
but for commands whose words belong to another program (exec, ps). `--` ends the options.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from orchestr.runtime.seam import RuntimeFailure

Given = dict[str, list[str]]  # option: its values in order; a flag's are ""
_TRUE: Final = ("", "1", "t", "true", "T", "TRUE", "True")
_FALSE: Final = ("0", "f", "false", "F", "FALSE", "False")


class Option(NamedTuple):
    about: str
    value: str = ""  # what the help calls its value; "" for a flag
    short: str = ""


class Call(NamedTuple):
    """What a command gets."""

    root: str
    common: Given
    options: Given
    words: list[str]

    @property
    def id(self) -> str:
        if not self.words:
            raise RuntimeFailure("cannot tell which container: no id given (container id cannot be empty)")
        return self.words[0]

    def flag(self, name: str) -> bool:
        return name in self.options

    def text(self, name: str, default: str = "") -> str:
        """The last one given."""
        return self.options.get(name, [default])[-1]

    def number(self, name: str, default: int = 0) -> int:
        text = self.text(name, str(default))
        try:
            return int(text)
        except ValueError as error:
            raise RuntimeFailure(f"cannot use --{name} {text}: not a whole number") from error


class Command(NamedTuple):
    run: Callable[[Call], int]
    about: str
    words: str = "ID"
    options: Mapping[str, Option] = {}
    in_order: bool = False  # options end at the first other word: what follows is another program's
    extra: bool = False  # takes more words than `words` names
    reaches: bool = False  # the container's processes: an ordinary user needs the container's user namespace for that


GLOBAL: Final[Mapping[str, Option]] = {
    "root": Option("where the state of containers is kept (on a tmpfs)", "DIR"),
    "log": Option("also write messages to this file", "FILE"),
    "log-format": Option("of --log: text or json", "FORMAT"),
    "log-level": Option("error, warning or debug", "LEVEL"),
    "debug": Option("say what is done"),
    "systemd-cgroup": Option("make cgroups by systemd; cgroupsPath is slice:prefix:name"),
    "cgroup-manager": Option("cgroupfs, systemd or disabled", "MANAGER"),
    "rootless": Option("ignore that cgroups cannot be written: true, false or auto", "WHEN"),
}


def take(argv: list[str], known: Mapping[str, Option], *, in_order: bool) -> tuple[Given, list[str]]:
    """(options, the other words). RuntimeFailure on what is not known, lacks a value or is given one in vain."""
    given: Given = {}
    words: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            words += rest
            break
        if not word.startswith("-") or word == "-":
            words.append(word)
            if in_order:
                words += rest
                break
            continue
        for name, value in _split(word, known):
            _put(given, name, known[name], word, value, rest)
    return given, words


def _split(word: str, known: Mapping[str, Option]) -> list[tuple[str, str | None]]:
    """The options in one word, each with the value that is in it."""
    name, equals, value = word.lstrip("-").partition("=")
    if name in known:
        return [(name, value if equals else None)]
    if word.startswith("--"):
        raise _unknown(word, known)
    shorts = {option.short: long for long, option in known.items() if option.short}
    found: list[tuple[str, str | None]] = []
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter not in shorts:
            raise _unknown(word, known)
        long = shorts[letter]
        if letters.startswith("="):
            return [*found, (long, letters[1:])]
        if known[long].value and letters:
            return [*found, (long, letters)]
        found.append((long, None))
    return found


def _unknown(word: str, known: Mapping[str, Option]) -> RuntimeFailure:
    names = ", ".join(f"--{name}" for name in known) or "none"
    return RuntimeFailure(f"cannot use option {word.partition('=')[0]}: not supported (one of {names})")


def _put(given: Given, name: str, option: Option, word: str, value: str | None, rest: list[str]) -> None:
    if option.value:
        if value is None:
            if not rest:
                raise RuntimeFailure(f"cannot use option {word}: it needs a value ({option.value})")
            value = rest.pop(0)
        given.setdefault(name, []).append(value)
    elif value is None or value in _TRUE:
        given[name] = [""]
    elif value in _FALSE:
        given.pop(name, None)
    else:
        raise RuntimeFailure(f"cannot use option {word}: it is a flag (true or false)")
