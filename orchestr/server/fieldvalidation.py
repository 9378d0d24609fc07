"""fieldValidation: what happens to fields that the object's kind does not have, and to fields that are given twice.

Strict refuses them, Warn (what a client gets that names none) drops them with a warning each, Ignore drops them. Fields
that Kubernetes has and this machine does nothing with are refused whatever the level: dropping them would promise a
behaviour that is not there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestr.api import schema
from orchestr.api.base import KubeObject
from orchestr.api.custom import Custom
from orchestr.api.errors import BadRequest, Cause, Invalid, render
from orchestr.api.schema import Path
from orchestr.api.scheme import decode, gvk
from orchestr.server.body import Twice

LEVELS = ("Strict", "Warn", "Ignore")


class Screen:
    """Decodes what one request brings, at its level; `warnings` is what its client is to be told."""

    def __init__(self, kind: type[KubeObject], level: str | None, twice: Sequence[Twice] = ()) -> None:
        if (level or "Warn") not in LEVELS:
            raise BadRequest(f"cannot read the body: fieldValidation={level!r:.40} (use {', '.join(LEVELS)})")
        self._kind, self._level = kind, level or "Warn"
        self._twice = [f'duplicate field "{each}"' for each in twice]
        self.warnings: list[str] = []

    def decode(self, data: Mapping[str, Any]) -> KubeObject:
        """The object. BadRequest under Strict for what is unknown or twice; Invalid for all else that is wrong."""
        strict, found, obj = self._level == "Strict", list[Path](), None
        causes = [Cause("", text, "FieldValueDuplicate") for text in self._twice]
        try:
            obj = decode(data)
        except Invalid as error:
            data, found = without_strangers(self._kind, data)
            if not found and not (strict and self._twice):
                raise
            causes += [cause for cause in error.causes if cause.reason == "FieldValueUnknown"]
        told = [*(f'unknown field "{render(path)}"' for path in found), *self._twice]
        if told and strict:
            raise self._refused(told, causes)
        self.warnings = told if self._level == "Warn" else []
        return obj or decode(data)

    def _refused(self, told: Sequence[str], causes: Sequence[Cause]) -> BadRequest:
        (version, name), hints = gvk(self._kind), [c.message.partition("(")[1:] for c in causes]
        near = "".join(f" ({rest}" for mark, rest in hints if mark)
        text = f'{name} in version "{version}" cannot be handled as a {name}: strict decoding error: '
        return BadRequest(f"{text}{', '.join(told)}{near}", causes=causes)


def without_strangers(kind: type[KubeObject], data: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Path]]:
    """The data less the fields that Kubernetes does not know, and where they were."""
    if issubclass(kind, Custom):
        return kind.pruned(data)
    api_version, name = gvk(kind)
    type_name = schema.tables().kinds.get(f"{api_version} {name}")
    if type_name is None:
        return data, []
    found: list[Path] = []
    return _kept(data, "@" + type_name, (), found), found


def _kept(value: Any, code: str, path: Path, found: list[Path]) -> Any:
    code = code.rstrip("!")
    if code[0] == "[" and isinstance(value, list):
        return [_kept(item, code[1:], (*path, index), found) for index, item in enumerate(value)]
    if code[0] == "{" and isinstance(value, Mapping):
        return {key: _kept(item, code[1:], (*path, key), found) for key, item in value.items()}
    if code[0] != "@" or not isinstance(value, Mapping):
        return value
    known = schema.tables().types[code[1:]]
    found += [(*path, field) for field in value if field not in known]
    return {f: _kept(item, known[f], (*path, f), found) for f, item in value.items() if f in known}
