"""pids: how many tasks. Both versions have the same files."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestr.runtime.cgroups.files import Setting, number

CONTROLLER: Final = "pids"


def wanted(resources: Mapping[str, Any]) -> str:
    return "pids/limit" if (resources.get("pids") or {}).get("limit") is not None else ""


def both(resources: Mapping[str, Any]) -> Iterator[Setting]:
    """Negative is no limit. 0 is "a valid limit value" since runtime-spec 1.2.1; no container can be without its first
    process, so it is 1, as in runc 1.4 and systemd."""
    limit = (resources.get("pids") or {}).get("limit")
    if limit is not None:
        yield Setting("pids/limit", "pids.max", "max" if int(limit) < 0 else str(max(int(limit), 1)))


def current(directory: str) -> int:
    return number(f"{directory}/pids.current") or 0
