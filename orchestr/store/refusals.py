"""The errors of the store, in the words of Kubernetes' API server: clients and people know them."""

from collections.abc import Sequence
from typing import Any

from orchestr.api.base import KubeObject
from orchestr.api.errors import AlreadyExists, Cause, Conflict, Forbidden, Invalid, NotFound

Kind = type[KubeObject]


def resource(kind: Kind) -> str:
    return f"{kind.PLURAL}.{kind.GROUP}" if kind.GROUP else kind.PLURAL


def details(kind: Kind, name: str) -> dict[str, Any]:
    return {"name": name, **({"group": kind.GROUP} if kind.GROUP else {}), "kind": kind.PLURAL}


def not_found(kind: Kind, name: str) -> NotFound:
    return NotFound(f'{resource(kind)} "{name}" not found', details=details(kind, name))


def already_exists(kind: Kind, name: str) -> AlreadyExists:
    return AlreadyExists(f'{resource(kind)} "{name}" already exists', details=details(kind, name))


def modified(kind: Kind, name: str) -> Conflict:
    return _conflict(
        kind, name, "the object has been modified; please apply your changes to the latest version and try again"
    )


def replaced(kind: Kind, name: str, wanted: str, found: str | None) -> Conflict:
    return _conflict(
        kind, name, f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found or 'none'}"
    )


def forbidden(kind: Kind, name: str, why: str, causes: Sequence[Cause] = ()) -> Forbidden:
    return Forbidden(f'{resource(kind)} "{name}" is forbidden: {why}', causes=causes, details=details(kind, name))


def invalid(kind: Kind, name: str, causes: Sequence[Cause]) -> Invalid:
    told = [f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in causes]
    text = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    return Invalid(
        f'{kind.__name__} "{name}" is invalid: {text}',
        causes=causes,
        details={"name": name, **({"group": kind.GROUP} if kind.GROUP else {}), "kind": kind.__name__},
    )


def _conflict(kind: Kind, name: str, why: str) -> Conflict:
    return Conflict(f'Operation cannot be fulfilled on {resource(kind)} "{name}": {why}', details=details(kind, name))
