"""pids: how many tasks. Both versions have the same files."""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestr.runtime.cgroups.files import number

KEY = "pids"


def both(pids: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """0 is one task in runtime-spec 1.2, and no limit in what Docker and Podman write: left alone. Negative: none."""
    limit = pids.get("limit")
    if limit:
        yield "pids.max", str(limit) if int(limit) > 0 else "max"


def current(directory: str) -> int:
    return number(f"{directory}/pids.current") or 0
