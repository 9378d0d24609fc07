"""No signal handler of this process may run in a child between clone and exec."""

from _signal import SIG_SETMASK, pthread_sigmask
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_ALL: Final = frozenset(range(1, 65)) - {32, 33}  # glibc's own


@contextmanager
def blocked() -> Iterator[None]:
    before = pthread_sigmask(SIG_SETMASK, _ALL)
    try:
        yield
    finally:
        pthread_sigmask(SIG_SETMASK, before)
