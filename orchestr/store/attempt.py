"""A write that webhooks have a say in is attempted until all of their answers are known.

A transaction must not wait for a webhook: it holds up every other write. So the function that needs an answer raises
Ask, which undoes what it did; the webhook is called outside, and the function runs again with the answer in its
Attempt. What it made by chance (uids, names, the time) is the same in every attempt, so the same questions come up.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Question(NamedTuple):
    """A call of one webhook; the key is equal for equal calls."""

    key: str
    hook: Any  # the ValidatingWebhook
    review: dict[str, Any]  # AdmissionReview without the caller


class Answer(NamedTuple):
    allowed: bool = True
    message: str = ""
    code: int = 403
    reason: str = ""
    patch: Any = None
    failure: str = ""  # why there is no answer


class Ask(Exception):
    """The transaction needs these answers."""

    def __init__(self, questions: Sequence[Question]) -> None:
        super().__init__(f"{len(questions)} questions")
        self.questions = questions


@dataclass(eq=False)
class Attempt:
    answers: dict[str, Answer] = field(default_factory=dict)
    now: datetime | None = None
    made: list[Any] = field(default_factory=list)
    position: int = 0

    def once(self, make: Callable[[], T]) -> T:
        """What `make` gave when this place was reached first."""
        if self.position == len(self.made):
            self.made.append(make())
        self.position += 1
        found: T = self.made[self.position - 1]
        return found


@contextmanager
def attempted(tx: Any, attempt: Attempt) -> Iterator[None]:
    """The transaction as a part of this attempt."""
    before = tx.now
    attempt.position, attempt.now = 0, attempt.now or before
    tx.attempt, tx.now = attempt, attempt.now
    try:
        yield
    finally:
        tx.attempt, tx.now = None, before
