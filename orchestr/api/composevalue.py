"""Values as Compose writes them: durations (`1m30s`), sizes (`64m`), CPUs (`0.5`), restart policies.

Sources: compose-spec spec.md ("Specifying durations", "Specifying byte values"), docker/go-units RAMInBytes.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
PART = r"(\d+(?:\.\d*)?|\.\d+)(us|µs|ms|s|m|h|d|w)"
DURATION = re.compile(rf"(?:{PART})+")
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)i?b?", re.IGNORECASE)
LIMIT = 2**62  # bytes; beyond it no kernel interface takes the number


def seconds(text: str) -> float:
    """`1m30s` -> 90.0, `500ms` -> 0.5. Raises ValueError."""
    if text == "0":
        return 0.0
    if not DURATION.fullmatch(text):
        raise ValueError(f"cannot read duration {text!r}: not numbers with units (write it as 10s, 1m30s or 500ms)")
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(PART, text))


def size(value: Any) -> int:
    """Bytes: 1024 -> 1024, `64m` -> 2**26, `1.5gb` -> 3 * 2**29; units are binary. Raises ValueError."""
    found = SIZE.fullmatch(str(value).strip())
    if found is None or isinstance(value, bool):
        raise ValueError(f"cannot read size {value!r}: not a number with a unit (write it as 512k, 64m or 1g)")
    number = int(Decimal(found[1]) * 1024 ** " kmgtp".index(found[2].lower() or " "))
    if number > LIMIT:
        raise ValueError(f"cannot use size {value!r}: too large (write it as 512k, 64m or 1g)")
    return number


def cpus(value: Any) -> str:
    """A positive number of CPUs as text: 0.5 -> `0.5`. Raises ValueError."""
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        number = Decimal(-1)
    if not number.is_finite() or number < 0 or number > 10**6:
        raise ValueError(f"cannot read CPUs {value!r}: not a number from 0 up (write it as 0.5 or 2)")
    return format(number.normalize(), "f")


def restarts(restart: str, *, deployed: bool) -> bool:
    """Whether a service's pods always restart. One with `deploy.replicas` or `deploy.update_config` is a Deployment."""
    return deployed or restart in ("always", "unless-stopped")
