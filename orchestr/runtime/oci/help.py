"""help, --help of each command, and --version."""

from collections.abc import Mapping
from typing import Any, Final

from orchestr import __version__
from orchestr.runtime.oci import command
from orchestr.runtime.oci.options import GLOBAL, Call, Command, Option

NAME: Final = "orch-oci"


def help_(call: Call) -> int:
    topic = call.words[0] if call.words else ""
    if topic == "version":
        print(version())
    elif topic:
        print(of_command(topic, command.find(topic)))
    else:
        print(everything())
    return 0


def version() -> str:
    lines = [f"{NAME} version {__version__}", "commit: none", f"spec: {command.VERSION}"]
    if found := libseccomp_version():
        lines.append(f"libseccomp: {found}")
    return "\n".join(lines)


def libseccomp() -> Any:
    """The library, None where it is missing."""
    import ctypes

    try:
        return ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return None


def libseccomp_version() -> str:
    import ctypes

    if (library := libseccomp()) is None:
        return ""
    library.seccomp_version.restype = ctypes.POINTER(ctypes.c_uint * 3)
    return ".".join(str(number) for number in library.seccomp_version().contents)


def everything() -> str:
    commands = [(name, command.find(name).about) for name in command.MODULES]
    return "\n".join(
        (
            "NAME:",
            f"   {NAME} - Open Container Initiative runtime",
            "",
            "USAGE:",
            f"   {NAME} [OPTION...] COMMAND [OPTION...] [ID] [WORD...]",
            "",
            "COMMANDS:",
            *(f"   {name:<12}{about}" for name, about in commands),
            "",
            "OPTIONS:",
            *_options(GLOBAL),
            *_options({"help": Option("this text", short="h"), "version": Option("the versions", short="v")}),
        )
    )


def of_command(name: str, found: Command) -> str:
    lines = ["NAME:", f"   {NAME} {name} - {found.about}", "", "USAGE:"]
    lines.append(f"   {NAME} {name} {'[OPTION...] ' if found.options else ''}{found.words}".rstrip())
    if found.options:
        lines += ["", "OPTIONS:", *_options(found.options)]
    return "\n".join(lines)


def _options(options: Mapping[str, Option]) -> list[str]:
    rows = []
    for name, option in options.items():
        short = f"-{option.short}, " if option.short else ""
        rows.append((f"{short}--{name}{' ' if option.value else ''}{option.value}", option.about))
    width = max(len(left) for left, _ in rows) + 2
    return [f"   {left:<{width}}{right}" for left, right in rows]


COMMANDS: Final = {"help": Command(help_, "print this, or the help of a command", "[COMMAND]")}
