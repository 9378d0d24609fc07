"""Who may: the kernel says who is at the other end of the unix socket. Root and the group `orch` may do everything."""

import grp
import os
import pwd
import socket
import struct
from typing import NamedTuple, Protocol

from orchestr.api.errors import Forbidden

GROUP = "orch"
UCRED = struct.Struct("3i")  # struct ucred, unix(7)


class Peer(NamedTuple):
    pid: int
    uid: int
    gid: int


class Socket(Protocol):
    def getsockopt(self, level: int, name: int, size: int, /) -> bytes: ...


def peer(sock: Socket) -> Peer:
    """The credentials that the peer had when it connected."""
    return Peer(*UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size)))


def group_id() -> int | None:
    """The group whose members may use the socket; None when the machine has none."""
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


def refusal(peer: Peer) -> Forbidden | None:
    """Why this peer may not do anything here. Reads the group database anew, so that a change counts at once."""
    if peer.uid in (0, os.geteuid()):
        return None
    allowed = group_id()
    if allowed is not None and allowed in (peer.gid, *_groups(peer.uid)):
        return None
    hint = f"usermod -aG {GROUP} USER" if allowed is not None else f"groupadd {GROUP} && usermod -aG {GROUP} USER"
    return Forbidden(f"cannot serve uid {peer.uid}: neither root nor in the group {GROUP} (as root: {hint})")


def _groups(uid: int) -> list[int]:
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return []
    return os.getgrouplist(user.pw_name, user.pw_gid)
