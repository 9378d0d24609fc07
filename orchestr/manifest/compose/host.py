"""What a service shares with the machine, and names it has of its own: `network_mode`, `pid`, `ipc`, `hostname`, ..."""

import re
from typing import Any

from orchestr.manifest.compose.names import LABEL
from orchestr.manifest.compose.reader import Reader

HOSTNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}[A-Za-z0-9]")
OWN = "a pod shares no namespace with another; what must share one is two containers of one Pod (a Kubernetes object)"
PRIVATE = {"ipc": ("private", "shareable"), "cgroup": ("private",), "pid": (), "userns_mode": ("private",)}


def shared(read: Reader) -> dict[str, Any]:
    """Fields of the model."""
    found: dict[str, Any] = {"host_network": _network(read)}
    for key, field in (("pid", "host_pid"), ("ipc", "host_ipc"), ("userns_mode", "host_users")):
        found[field] = _host(read, key)
    _host(read, "cgroup", possible=False)
    return found


def _network(read: Reader) -> bool | None:
    mode = read.text("network_mode")
    if mode in (None, "", "bridge", "default"):
        return None
    if read.get("networks"):
        read.error("network_mode", "cannot be combined with networks", "keep one of them")
    if mode == "host":
        return True
    why = OWN if str(mode).startswith(("service:", "container:")) else "use host, bridge or networks"
    read.refuse("network_mode", f"network_mode {mode}", why)
    return None


def _host(read: Reader, key: str, *, possible: bool = True) -> bool | None:
    value = read.text(key)
    if value in (None, "", *PRIVATE[key]):
        return None
    if value == "host" and possible:
        return True
    why = OWN if ":" in str(value) else f"use {' or '.join((*PRIVATE[key], *(['host'] if possible else [])))}"
    read.refuse(key, f"{key} {value}", why)
    return None


def hostname(read: Reader) -> tuple[str | None, str | None]:
    """(host name that is one DNS label, any other host name)"""
    name = read.text("hostname")
    if not name:
        return None, None
    if LABEL.fullmatch(name):
        return name, None
    if not HOSTNAME.fullmatch(name):
        read.error("hostname", f"{name!r} is no host name", "use letters, digits, '-' and '.', at most 64")
    return None, name
