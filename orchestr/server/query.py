"""Query parameters: typed, and refused by name when they make no sense."""

from datetime import UTC, datetime

from starlette.datastructures import QueryParams

from orchestr.api.errors import BadRequest

TRUE, FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("", "0", "f", "F", "FALSE", "false", "False")


def flag(query: QueryParams, name: str, default: bool = False) -> bool:
    """As Go's ParseBool, which Kubernetes uses."""
    value = query.get(name)
    if value is None:
        return default
    if value not in TRUE and value not in FALSE:
        raise _bad(name, value, "true or false")
    return value in TRUE


def number(query: QueryParams, name: str) -> int | None:
    """A whole number, not negative; None when absent."""
    value = query.get(name)
    if not value:
        return None
    if not (value.isascii() and value.isdecimal()) or len(value) > 18:
        raise _bad(name, value, "a whole number")
    return int(value)


def time(query: QueryParams, name: str) -> datetime | None:
    """RFC 3339."""
    value = query.get(name)
    if not value:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise _bad(name, value, "a time such as 2026-01-31T12:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def dry_run(query: QueryParams) -> bool:
    value = query.get("dryRun")
    if value not in (None, "", "All"):
        raise _bad("dryRun", value, "All")
    return bool(value)


def _bad(name: str, value: str, wanted: str) -> BadRequest:
    return BadRequest(f"cannot read the query: {name}={value[:64]!r} is not {wanted} (correct it)")
