"""The machine's own kernel settings that pods need: forwarding. Changed once, remembered, put back by the last `stop`.

    /run/orch-settings.d/<network namespace>/before.json   what they were
                                             user.<bridge>  one for each instance that needs them
The instances of a machine share them: as long as another one's bridge is there, nothing is put back.
"""

import contextlib
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator

SHARED = "/run/orch-settings.d"
BEFORE, USER = "before.json", "user."
FORWARDING = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    # Pod to pod goes in and out by the bridge, and each such packet would count against the limit for ICMP errors, so
    # that a refusal over UDP never arrives. `all` is or-ed with each link's own value, which stays.
    "net/ipv4/conf/all/send_redirects": "0",
}
CONF6 = "net/ipv6/conf"


def turn_on(bridge: str) -> None:
    """Turns forwarding on for the instance of this bridge, which must be there already."""
    with _place() as place:
        before = _load(place) if _users(place) else {}
        _write(os.path.join(place, USER + bridge), "")
        _write(os.path.join(place, BEFORE), json.dumps(_change(before)))


def put_back(bridge: str) -> None:
    """The reverse, in reverse order, unless somebody else needs them; settings whose link is gone are skipped."""
    with _place() as place:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(place, USER + bridge))
        if _users(place):
            return
        for setting, value in reversed(_load(place).items()):
            write_setting(setting, value)
        shutil.rmtree(place)
        with contextlib.suppress(OSError):  # another network namespace's are in it
            os.rmdir(SHARED)


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


def _change(before: dict[str, str]) -> dict[str, str]:
    """`before` and what differed now."""
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
    return before


@contextlib.contextmanager
def _place() -> Iterator[str]:
    """The directory of this network namespace, one process at a time."""
    lock = os.open(os.path.dirname(SHARED), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # it goes, /run stays
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place = os.path.join(SHARED, str(os.stat("/proc/thread-self/ns/net").st_ino))
        os.makedirs(place, exist_ok=True)
        yield place
    finally:
        os.close(lock)


def _users(place: str) -> list[str]:
    """Bridges of other instances; what one left behind that went without `stop` is not counted."""
    return [bridge for _, bridge in socket.if_nameindex() if os.path.exists(os.path.join(place, USER + bridge))]


def _write(path: str, data: str) -> None:
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(data)
    os.rename(path + ".new", path)


def _load(place: str) -> dict[str, str]:
    try:
        with open(os.path.join(place, BEFORE), encoding="ascii") as file:
            return dict(json.load(file))
    except (FileNotFoundError, ValueError):
        return {}


def _read(setting: str) -> str:
    try:
        with open(f"/proc/sys/{setting}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
