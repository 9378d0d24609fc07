"""Conditions in a status: one of a type, whose lastTransitionTime moves only when its status does."""

from collections.abc import Sequence
from datetime import datetime

from orchestr.api.base import Condition


def condition(conditions: Sequence[Condition], type: str) -> Condition | None:
    return next((each for each in conditions if each.type == type), None)


def with_condition(conditions: Sequence[Condition], new: Condition, now: datetime) -> tuple[Condition, ...]:
    """The conditions with `new` in the place of its type; the old one stays as it is when nothing but time differs."""
    old = condition(conditions, new.type)
    if old is None:
        return (*conditions, new.but(last_transition_time=second(now)))
    since = old.last_transition_time if old.status == new.status else second(now)
    new = new.but(last_transition_time=since)
    return tuple(new if each is old else each for each in conditions)


def without_condition(conditions: Sequence[Condition], type: str) -> tuple[Condition, ...]:
    return tuple(each for each in conditions if each.type != type)


def second(now: datetime) -> datetime:
    """As the wire form keeps it, so that a status compares equal to the stored one."""
    return now.replace(microsecond=0)
