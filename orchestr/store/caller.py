"""Who writes, as webhooks are told, and what they want the writer to be told. Set by the server for each request."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple


class Caller(NamedTuple):
    user: Mapping[str, Any]  # authentication.k8s.io/v1 UserInfo
    warnings: list[str]

    def warn(self, text: str) -> None:
        """Once, however often the write is attempted."""
        if text not in self.warnings:
            self.warnings.append(text)


SYSTEM: Mapping[str, Any] = {"username": "system:apiserver", "groups": ["system:masters"]}
_CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


def caller() -> Caller:
    """Of this task; outside of a request it is the daemon itself."""
    return _CALLER.get() or Caller(SYSTEM, [])


@contextmanager
def acting(user: Mapping[str, Any], warnings: list[str]) -> Iterator[None]:
    token = _CALLER.set(Caller(user, warnings))
    try:
        yield
    finally:
        _CALLER.reset(token)
