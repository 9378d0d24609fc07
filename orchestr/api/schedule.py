"""Cron schedules as Kubernetes reads them: five fields, @daily and its like, @every 1h30m; in a time zone. Pure.

The times come from cronsim, which knows more than Kubernetes takes (L, #, LW) and joins the two fields of days another
way. So a schedule is checked here, and written so that both mean the same: day of month and day of week are joined by
"or" unless one of them is a plain star.
Source: the parser of robfig/cron version 3.
"""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from typing import NamedTuple

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MONTHS = {name: str(number) for number, name in enumerate(MONTH_NAMES, 1)}
DAYS = {name: str(number) for number, name in enumerate(DAY_NAMES)}
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


class Field(NamedTuple):
    name: str
    least: int
    most: int
    names: dict[str, str] = {}


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 0, 6, DAYS),
)


class ScheduleError(ValueError):
    """The schedule or time zone cannot be read; the text says why."""


class Schedule(NamedTuple):
    """When something is due; `cron` or `every` is set."""

    cron: str
    every: timedelta | None
    zone: tzinfo

    def after(self, moment: datetime) -> datetime | None:
        """The next time after a moment; None when there is none within fifty years."""
        if self.every:
            return moment.replace(microsecond=0) + self.every
        # In the hour that comes twice when the clock is put back, cronsim may name its first pass again.
        return next((found for found in self._times(moment) if found > moment), None)

    def latest(self, since: datetime, now: datetime) -> datetime | None:
        """The last time that has come by now and is later than `since`."""
        if self.every:
            rounds = (now - since.replace(microsecond=0)) // self.every
            return since.replace(microsecond=0) + rounds * self.every if rounds > 0 else None
        near = next(self._times(now.replace(microsecond=0) + timedelta(seconds=1), back=True), None)
        found = near if near is not None and near > since else None
        # Forwards and backwards differ by some minutes when the clock is put back: what `after` says counts.
        while (later := self.after(found or since)) is not None and later <= now:
            found = later
        return found

    def missed(self, since: datetime, now: datetime, limit: int) -> int:
        """How many times have come after `since` and by now, counted up to `limit`."""
        if self.every:
            return min(max((now - since) // self.every, 0), limit)
        count, moment = 0, self.after(since)
        while moment is not None and moment <= now and count < limit:
            count, moment = count + 1, self.after(moment)
        return count

    def _times(self, moment: datetime, *, back: bool = False) -> Iterator[datetime]:
        from cronsim import CronSim

        for found in CronSim(self.cron, moment.astimezone(self.zone), reverse=back):
            yield found.astimezone(UTC)


@lru_cache(maxsize=1024)
def parse(text: str, zone: str | None = None) -> Schedule:
    """Raises ScheduleError."""
    where = zone_of(zone)
    if text.startswith(("TZ=", "CRON_TZ=")):
        raise ScheduleError("a time zone in the schedule is not supported (use spec.timeZone)")
    if text.startswith("@every "):
        return Schedule("", _duration(text.removeprefix("@every ").strip()), where)
    if text.startswith("@"):
        if text not in ALIASES:
            raise ScheduleError(f"unrecognized descriptor {text!r} (there are {', '.join(ALIASES)}, @every 1h30m)")
        return Schedule(ALIASES[text], None, where)
    words = text.split()
    if len(words) != len(FIELDS):
        raise ScheduleError(f"expected exactly 5 fields, found {len(words)}: {text!r}")
    cron = " ".join(_field(field, word) for field, word in zip(FIELDS, words, strict=True))
    return Schedule(_possible(cron, text), None, where)


def _possible(cron: str, text: str) -> str:
    from cronsim import CronSim, CronSimError

    try:
        CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ScheduleError(f"{text!r} never comes: no such month has that many days") from error
    return cron


def _field(field: Field, text: str) -> str:
    parts = [_part(field, part) for part in text.split(",")]
    return "*" if "*" in parts else ",".join(parts)


def _part(field: Field, text: str) -> str:
    """`*`, or numbers: N, N-M, either with a step."""
    span, slash, step = text.lower().partition("/")
    if slash and (not step.isdecimal() or int(step) == 0):
        raise ScheduleError(f"{field.name}: {step!r} is no step: {text!r}")
    first, dash, last = span.partition("-")
    if first in ("*", "?") and not dash:
        whole = step in ("", "1")
        return "*" if whole else f"{field.least}-{field.most}/{step}"
    low = _number(field, first, text)
    high = _number(field, last, text) if dash else field.most if slash else low
    if high < low:
        raise ScheduleError(f"{field.name}: {low} is beyond the end of the range {high}: {text!r}")
    return f"{low}-{high}/{step}" if slash else f"{low}-{high}" if dash else str(low)


def _number(field: Field, text: str, whole: str) -> int:
    word = field.names.get(text, text)
    if not (word.isascii() and word.isdecimal()):
        raise ScheduleError(f"{field.name}: {text!r} is no number: {whole!r}")
    if not field.least <= int(word) <= field.most:
        raise ScheduleError(f"{field.name}: {word} is not from {field.least} to {field.most}: {whole!r}")
    return int(word)


def _duration(text: str) -> timedelta:
    """Go's time.ParseDuration, in whole seconds and at least one."""
    parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ScheduleError(f"{text!r} is no duration such as 1h30m")
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    return timedelta(seconds=max(int(seconds), 1))


def zone_of(name: str | None) -> tzinfo:
    """The time zone of that name; the machine's for None. Raises ScheduleError."""
    if name is None:
        return _local()
    if not name or name.lower() == "local":
        raise ScheduleError("must be an explicit time zone as defined in https://www.iana.org/time-zones")
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise ScheduleError(f"unknown time zone {name}") from error


@cache
def _local() -> tzinfo:
    from zoneinfo import ZoneInfo

    name = os.environ.get("TZ", "")
    try:
        if name:
            return ZoneInfo(name)
        with open("/etc/localtime", "rb") as file:
            return ZoneInfo.from_file(file, key="Local")
    except (OSError, ValueError, KeyError):
        return UTC
