"""Times as Kubernetes' tables print them: how long ago, shortened so that two units at most remain. Pure.

Source: apimachinery, util/duration.HumanDuration.
"""

from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60, 3600, 86400


def human(seconds: int) -> str:
    if seconds < -1:
        return "<invalid>"
    if seconds < 2 * MINUTE:
        return f"{max(seconds, 0)}s"
    if seconds < 10 * MINUTE:
        return _two(seconds, MINUTE, "m", 1, "s")
    if seconds < 3 * HOUR:
        return f"{seconds // MINUTE}m"
    if seconds < 8 * HOUR:
        return _two(seconds, HOUR, "h", MINUTE, "m")
    if seconds < 2 * DAY:
        return f"{seconds // HOUR}h"
    if seconds < 8 * DAY:
        return _two(seconds, DAY, "d", HOUR, "h")
    if seconds < 730 * DAY:
        return f"{seconds // DAY}d"
    if seconds < 8 * 365 * DAY:
        return _two(seconds, 365 * DAY, "y", DAY, "d")
    return f"{seconds // (365 * DAY)}y"


def _two(seconds: int, large: int, name: str, small: int, less: str) -> str:
    rest = seconds % large // small
    return f"{seconds // large}{name}" + (f"{rest}{less}" if rest else "")


def parsed(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def since(text: object, now: datetime) -> str:
    """How long ago a time on the wire was."""
    at = parsed(text)
    return human(int((now - at).total_seconds())) if at else "<unknown>"


def between(start: object, end: object) -> str:
    first, last = parsed(start), parsed(end)
    return human(int((last - first).total_seconds())) if first and last else ""
