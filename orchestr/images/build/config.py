"""What an instruction says about the image without touching a file: the `config` of image-spec's config.md.

Documents are never changed: each function gives a new one.
"""

import posixpath
import re
from collections.abc import Mapping
from typing import Any

from orchestr.images.build import words
from orchestr.images.build.dockerfile import Instruction, json_form

Config = Mapping[str, Any]
SHELL = ("/bin/sh", "-c")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # where nobody says one
PREDEFINED = tuple(  # arguments that RUN sees without an ARG, and that no layer depends on
    form
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for form in (name, name.lower())
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?")
_SIGNAL = re.compile(r"\d{1,2}|(SIG)?[A-Z][A-Z0-9+-]*")


def environment(config: Config) -> dict[str, str]:
    return {name: value for name, _, value in (item.partition("=") for item in config.get("Env") or ())}


def changed(config: Config, step: Instruction, scope: Mapping[str, str]) -> dict[str, Any]:
    """The configuration after an instruction of CHANGES. Raises BuildError."""
    try:
        return {**config, **CHANGES[step.name](config, step, scope)}
    except words.BadWord as error:
        step.fail(str(error))


def line(step: Instruction, scope: Mapping[str, str]) -> str:
    return words.expand(step.text, scope, step.escape).strip()


def _pairs(step: Instruction, scope: Mapping[str, str]) -> dict[str, str]:
    found = words.pairs(step.text, step.escape)
    return {words.expand(k, scope, step.escape): words.expand(v, scope, step.escape) for k, v in found}


def _env(config: Config, step: Instruction, scope: Mapping[str, str]) -> dict[str, Any]:
    added = _pairs(step, scope)
    if "" in added:
        step.fail("a name is empty")
    return {"Env": [f"{name}={value}" for name, value in {**environment(config), **added}.items()]}


def _label(config: Config, step: Instruction, scope: Mapping[str, str]) -> dict[str, Any]:
    return {"Labels": {**(config.get("Labels") or {}), **_pairs(step, scope)}}


def _maintainer(config: Config, step: Instruction, scope: Mapping[str, str]) -> dict[str, Any]:
    return {"Labels": {**(config.get("Labels") or {}), "maintainer": step.text}}


def command(config: Config, step: Instruction) -> list[str]:
    """The words of a JSON form, or the line for the shell."""
    if step.words is not None:
        return list(step.words)
    return [*(config.get("Shell") or SHELL), step.text]


def _cmd(config: Config, step: Instruction, scope: Mapping[str, str]) -> dict[str, Any]:
    return {"Cmd": command(config, step)}


def _entrypoint(config: Config, step: Instruction, scope: Mapping[str, str]) -> dict[str, Any]:
    """The base's CMD was for the base's entrypoint; one that this stage said stays (see builder.py)."""
    return {"Entrypoint": command(config, step)}


def _shell(config: Config, step: Instruction, scope: Mapping[str, str]) -> dict[str, Any]:
    if not step.words:
        step.fail('write it as ["/bin/bash", "-c"]')
    return {"Shell": list(step.words)}


def _expose(config: Config, step: Instruction, scope: Mapping[str, str]) -> dict[str, Any]:
    ports = dict(config.get("ExposedPorts") or {})
    for word in line(step, scope).split():
        found = _PORT.fullmatch(word.lower())
        first, last = (int(found.group(1)), int(found.group(2) or found.group(1))) if found else (0, 0)
        if not found or not 0 < first <= last <= 65535:
            step.fail(f"{word} is not a port (write 80, 8000-8010 or 53/udp)")
        ports |= {f"{port}/{found.group(3) or 'tcp'}": {} for port in range(first, last + 1)}
    return {"ExposedPorts": ports}


def _volume(config: Config, step: Instruction, scope: Mapping[str, str]) -> dict[str, Any]:
    given = step.words if step.words is not None else words.split(step.text, step.escape)
    paths = [words.expand(word, scope, step.escape) for word in given]
    if not all(path.strip() for path in paths):
        step.fail("a path is empty")
    return {"Volumes": {**(config.get("Volumes") or {}), **{path: {} for path in paths}}}


def _user(config: Config, step: Instruction, scope: Mapping[str, str]) -> dict[str, Any]:
    return {"User": line(step, scope)}


def _workdir(config: Config, step: Instruction, scope: Mapping[str, str]) -> dict[str, Any]:
    return {"WorkingDir": posixpath.normpath(posixpath.join("/", config.get("WorkingDir") or "/", line(step, scope)))}


def _stopsignal(config: Config, step: Instruction, scope: Mapping[str, str]) -> dict[str, Any]:
    signal = line(step, scope)
    if not _SIGNAL.fullmatch(signal):
        step.fail(f"{signal} is not a signal (write SIGTERM or 15)")
    return {"StopSignal": signal}


def _onbuild(config: Config, step: Instruction, scope: Mapping[str, str]) -> dict[str, Any]:
    word = step.text.split(None, 1)[0].upper()
    if word in ("FROM", "MAINTAINER", "ONBUILD"):
        step.fail(f"{word} cannot be a trigger")
    return {"OnBuild": [*(config.get("OnBuild") or ()), trigger(step)]}


def trigger(step: Instruction) -> str:
    return "\n".join([step.text, *(f"{each.content}{each.name}" for each in step.heredocs)])


def _healthcheck(config: Config, step: Instruction, scope: Mapping[str, str]) -> dict[str, Any]:
    kind, _, rest = step.text.partition(" ")
    if kind.upper() == "NONE":
        if step.flags or rest.strip():
            step.fail("NONE takes nothing more")
        return {"Healthcheck": {"Test": ["NONE"]}}
    if kind.upper() != "CMD" or not rest.strip():
        step.fail("write HEALTHCHECK CMD COMMAND, or HEALTHCHECK NONE")
    words_ = json_form(rest.strip())
    test = ["CMD", *words_] if words_ is not None else ["CMD-SHELL", rest.strip()]
    check: dict[str, Any] = {"Test": test}
    names = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod",
             "start-interval": "StartInterval"}  # fmt: skip
    for flag, name in names.items():
        if step.flag(flag):
            check[name] = duration(step, flag)
    if step.flag("retries"):
        if not step.flag("retries").isdigit():
            step.fail(f"--retries={step.flag('retries')} is not a number")
        check["Retries"] = int(step.flag("retries"))
    return {"Healthcheck": check}


def duration(step: Instruction, flag: str) -> int:
    """Nanoseconds of `1m30s`."""
    text = step.flag(flag)
    if text != "0" and not re.fullmatch(f"(?:{_DURATION.pattern})+", text):
        step.fail(f"--{flag}={text} is not a duration (write 30s or 1m30s)")
    return sum(int(float(number) * _UNITS[unit]) for number, unit in _DURATION.findall(text))


CHANGES = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
