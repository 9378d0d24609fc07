"""How results are printed: tables that are never cut, JSON, YAML, names; colours only where they belong."""

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

COLORS = {
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "dim": "2",
    "bold": "1",
}


def colored(choice: str, stream: Any = None) -> bool:
    """By --color, NO_COLOR, CLICOLOR_FORCE, TERM and whether it goes to a terminal."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("CLICOLOR_FORCE", "0") != "0":
        return True
    return os.environ.get("TERM") != "dumb" and (stream or sys.stdout).isatty()


def paint(text: str, color: str, on: bool) -> str:
    return f"\x1b[{COLORS[color]}m{text}\x1b[0m" if on and color else text


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, three blanks apart."""
    every = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in every) for i in range(len(header))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in every
    )


def dump(value: Any, form: str) -> str:
    """One valid document: json or yaml."""
    if form == "json":
        return json.dumps(value, indent=2, ensure_ascii=False)
    import yaml

    return str(
        yaml.dump(value, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False, allow_unicode=True)
    ).rstrip()


def age(stamp: str | None, now: float | None = None) -> str:
    """How long ago, as kubectl writes it: 5s, 3m20s, 4h, 12d."""
    if not stamp:
        return "<unknown>"
    return span((time.time() if now is None else now) - seconds(stamp))


def seconds(stamp: str) -> float:
    """RFC 3339 UTC in seconds since the epoch; without datetime, which the quick commands need not import."""
    from calendar import timegm

    return timegm(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S"))


def stamp(moment: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC with microseconds; the order of such texts is that of the times."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return f"{whole}.{int(moment % 1 * 1e6):06d}Z"


def span(length: float) -> str:
    whole = max(int(length), 0)
    if whole < 120:
        return f"{whole}s"
    if whole < 600:
        return f"{whole // 60}m{whole % 60}s" if whole % 60 else f"{whole // 60}m"
    if whole < 10800:
        return f"{whole // 60}m"
    if whole < 172800:
        return f"{whole // 3600}h"
    return f"{whole // 86400}d"
