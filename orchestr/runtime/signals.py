"""Signals around a launch: no handler of this process may run in a child between clone and exec.

From `_signal`, the C half of `signal`: building that module's enums costs a millisecond, and each call a look-up.
"""

import _signal as system  # type: ignore[import-not-found]
from _signal import SIG_IGN, SIG_SETMASK, SIGCHLD, SIGKILL, getsignal, pthread_sigmask
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["SIGCHLD", "SIGKILL", "blocked", "ignored", "system", "unblocked"]
_ALL: Final = frozenset(range(1, 65)) - {32, 33}  # glibc's own


@contextmanager
def blocked() -> Iterator[None]:
    before = pthread_sigmask(SIG_SETMASK, _ALL)
    try:
        yield
    finally:
        pthread_sigmask(SIG_SETMASK, before)


@contextmanager
def unblocked() -> Iterator[None]:
    """Within `blocked`, while something of unknown length is waited for."""
    before = pthread_sigmask(SIG_SETMASK, ())
    try:
        yield
    finally:
        pthread_sigmask(SIG_SETMASK, before)


def ignored() -> list[int]:
    """Those that this process ignores; that would survive exec."""
    return [number for number in _ALL if getsignal(number) is SIG_IGN]
