"""The machine's own kernel settings that pods need: forwarding. Changed once, remembered, put back by `stop`."""

import contextlib
import json
import os

FORWARDING = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    # Pod to pod goes in and out by the bridge, and each such packet would count against the limit for ICMP errors, so
    # that a refusal over UDP never arrives. `all` is or-ed with each link's own value, which stays.
    "net/ipv4/conf/all/send_redirects": "0",
}
CONF6 = "net/ipv6/conf"


def turn_on(path: str) -> None:
    """Turns forwarding on; what was changed is kept in the file `path` until `put_back`."""
    before = _load(path)
    if _read("net/ipv6/conf/all/forwarding") == "0":
        # A forwarding host ignores router advertisements unless told twice: it would lose its own IPv6 default route.
        for name in os.listdir(f"/proc/sys/{CONF6}"):
            if _read(f"{CONF6}/{name}/accept_ra") == "1":
                before.setdefault(f"{CONF6}/{name}/accept_ra", "1")
                write_setting(f"{CONF6}/{name}/accept_ra", "2")
    for setting, value in FORWARDING.items():
        old = write_setting(setting, value)
        if old is not None:
            before.setdefault(setting, old)
    with open(path, "w", encoding="ascii") as file:
        json.dump(before, file)


def put_back(path: str) -> None:
    """The reverse, in reverse order; settings whose link is gone are skipped."""
    for setting, value in reversed(_load(path).items()):
        write_setting(setting, value)
    if os.path.exists(path):
        os.unlink(path)


def _load(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="ascii") as file:
            return dict(json.load(file))
    except (FileNotFoundError, ValueError):
        return {}


def _read(setting: str) -> str:
    try:
        with open(f"/proc/sys/{setting}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def write_setting(path: str, value: str) -> str | None:
    """Writes /proc/sys/PATH; what was there before if that differed, None if nothing changed or it does not exist."""
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(f"/proc/sys/{path}", os.O_RDWR | os.O_CLOEXEC)
        try:
            before = os.read(fd, 64).decode().strip()
            if before != value:
                os.pwrite(fd, value.encode(), 0)
                return before
        finally:
            os.close(fd)
    return None
