"""The formats of strings that OpenAPI names and Kubernetes checks. An unknown format asks for nothing."""

import base64
import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

from orchestr.api import names

UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+|[^@\s]+@localhost")
MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
DURATION = re.compile(r"-?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))*|0")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def wrong_format(name: str, value: str) -> bool:
    """Whether the string is not what its format says."""
    test = FORMATS.get(name)
    if test is None:
        return False
    try:
        return not test(value)
    except ValueError:
        return True


def moment(text: str) -> datetime:
    """RFC 3339. Raises ValueError."""
    if not MOMENT.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text.upper())


def seconds(text: str) -> float:
    """A duration as Go writes it: 1h30m. Raises ValueError."""
    if not DURATION.fullmatch(text):
        raise ValueError(text)
    total = sum(float(n) * UNITS[unit] for n, unit in re.findall(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)", text))
    return -total if text.startswith("-") else total


def _base64(text: str) -> bool:
    base64.b64decode(text, validate=True)
    return True


def _host(text: str) -> bool:
    return not names.dns_subdomain(text.lower().rstrip("."))


FORMATS: dict[str, Callable[[str], Any]] = {
    "byte": _base64,
    "cidr": lambda text: "/" in text and ipaddress.ip_network(text, strict=False),
    "date": date.fromisoformat,
    "date-time": moment,
    "datetime": moment,
    "duration": lambda text: DURATION.fullmatch(text),
    "email": MAIL.fullmatch,
    "hostname": _host,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "mac": MAC.fullmatch,
    "uri": lambda text: urlsplit(text).scheme or text.startswith("/"),
    "uuid": UUID.fullmatch,
    "uuid3": UUID.fullmatch,
    "uuid4": UUID.fullmatch,
    "uuid5": UUID.fullmatch,
}
