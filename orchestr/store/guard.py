"""What the functions of a transaction know of whoever asks, and a last word on what they write.

A caller sets GUARD in its task; each object that its writes then store is shown to the guard inside the transaction,
after all other admission. It refuses by raising an ApiError.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from orchestr.store.caller import caller
from orchestr.store.transaction import Decide, Tx

T = TypeVar("T")
Guard = Callable[[Any], None]  # takes a request.Request

GUARD: ContextVar[Guard | None] = ContextVar("GUARD", default=None)


def guarded(run: Callable[[Tx], T], decide: Decide | None, *, dry_run: bool) -> Callable[[Tx], T]:
    """The function with the guard and the caller of this moment's task."""
    guard, who = GUARD.get(), caller()

    def within(tx: Tx) -> T:
        tx.guard, tx.caller, tx.decide, tx.dry_run = guard, who, decide, dry_run
        try:
            return run(tx)
        finally:
            tx.guard = tx.caller = tx.decide = None

    return within
