"""Contents of secrets and configs, read where the caller is. A secret's goes into its Secret and nowhere else."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestr.api.labels import STACK
from orchestr.manifest.compose.environment import Environment
from orchestr.manifest.compose.names import label, labels
from orchestr.manifest.compose.reader import Reader

SOURCES = ("file", "environment", "content")
DIGEST = 10  # hex digits: enough to see a change, too few to be of use for guessing long contents


@dataclass(frozen=True)
class Secrets:
    model: Mapping[str, dict[str, str]]  # of the Stack: where each secret's content is
    objects: tuple[dict[str, Any], ...]  # Secrets in wire form


def secrets(read: Reader, used: set[str], environment: Environment, project: str) -> Secrets:
    """Of the secrets that a service uses; the others need not be there."""
    entries = {name: entry for name, entry in read.children("secrets").items() if name in used}
    named = labels(entries)
    model, objects = {}, []
    for name, entry in entries.items():
        content = _content(entry, environment)
        if content is None:
            continue
        digest = hashlib.sha256(b"\0".join((project.encode(), name.encode(), content))).hexdigest()[:DIGEST]
        model[name] = {"name": named[name], "key": named[name], "digest": digest}
        objects.append(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": named[name], "namespace": label(project), "labels": {STACK: label(project)}},
                "data": {named[name]: base64.b64encode(content).decode()},
            }
        )
    return Secrets(model, tuple(objects))


def configs(read: Reader, used: set[str], environment: Environment) -> dict[str, dict[str, str]]:
    """Of the configs that a service uses, as fields of the model."""
    found = {}
    for name, entry in read.children("configs").items():
        content = _content(entry, environment) if name in used else None
        if content is not None:
            found[name] = _text_or_base64(content)
    return found


def _text_or_base64(content: bytes) -> dict[str, str]:
    try:
        return {"content": content.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _content(read: Reader, environment: Environment) -> bytes | None:
    given = [key for key in SOURCES if read.get(key) is not None]
    if read.get("external") is not None and read.flag("external") is not False:
        return b""  # told as not supported
    if len(given) != 1:
        return None  # told by conflicts.py
    value = read.text(given[0]) or ""
    if given[0] == "content":
        return value.encode()
    if given[0] == "environment":
        return _variable(read, value, environment)
    return _file(read, value)


def _variable(read: Reader, name: str, environment: Environment) -> bytes | None:
    value = environment.variables.get(name, environment.late.get(name))
    if value is None:
        read.lacking("environment", f"variable {name} is not set", "set it where orch is called")
        return None
    return value.encode()


def _file(read: Reader, path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        read.lacking("file", f"cannot read {path}: {error.strerror}", "create it, or correct the path")
        return None
