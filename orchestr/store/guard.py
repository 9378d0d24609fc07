"""A last word on what is written, by whoever knows who asks.

A caller sets GUARD in its task; each object that its writes then store is shown to the guard inside the transaction,
after all other admission. It refuses by raising an ApiError.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from orchestr.store.transaction import Tx

T = TypeVar("T")
Guard = Callable[[Any], None]  # takes a request.Request

GUARD: ContextVar[Guard | None] = ContextVar("GUARD", default=None)


def guarded(run: Callable[[Tx], T]) -> Callable[[Tx], T]:
    """The function with the guard of this moment's task."""
    guard = GUARD.get()
    if guard is None:
        return run

    def within(tx: Tx) -> T:
        tx.guard = guard
        try:
            return run(tx)
        finally:
            tx.guard = None

    return within
