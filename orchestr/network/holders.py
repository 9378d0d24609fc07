"""Who holds a port of this machine, from /proc alone."""

import os
import re
from collections.abc import Iterator

from orchestr.network.services import Socket

LISTEN = {"tcp": "0A", "udp": "07"}  # st column of /proc/net/{tcp,udp}, include/net/tcp_states.h


def holder(wanted: Socket) -> str:
    """ "nginx (pid 812)"; "another process" when it cannot be found (another pid namespace, already gone)."""
    inodes = set(_inodes(wanted.protocol, wanted.port))
    for pid in filter(str.isdigit, os.listdir("/proc")) if inodes else ():
        if inodes & set(_sockets(pid)):
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                return f"{file.read().strip()} (pid {pid})"
    return "another process"


def _inodes(protocol: str, port: int) -> Iterator[str]:
    for name in (protocol, f"{protocol}6"):
        with open(f"/proc/net/{name}", encoding="ascii") as file:
            for line in file.readlines()[1:]:
                parts = line.split()
                if parts[3] == LISTEN[protocol] and int(parts[1].rpartition(":")[2], 16) == port:
                    yield parts[9]


def _sockets(pid: str) -> Iterator[str]:
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for fd in descriptors:
        try:
            found = re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            continue
        if found:
            yield found[1]
