"""Who asks: the kernel says who is at the other end of the unix socket, TLS whose certificate a client has, and a
bearer token speaks for itself.

Root and the group `orch` may do everything; everybody else what RBAC grants (authorize.py).
"""

import grp
import os
import pwd
import socket
import struct
from base64 import b64decode
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from orchestr.api.errors import ApiError, Forbidden
from orchestr.server.answer import Scope
from orchestr.server.user import ANONYMOUS, AUTHENTICATED, MASTERS, User

GROUP = "orch"
UCRED = struct.Struct("3i")  # struct ucred, unix(7)


class Peer(NamedTuple):
    pid: int
    uid: int
    gid: int


class Unauthorized(ApiError):
    """Nobody knows who asks. Why is not told: it would help whoever guesses."""

    code, reason = 401, "Unauthorized"

    def __init__(self, message: str = "Unauthorized", **more: Any) -> None:
        super().__init__(message, **more)


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


Tokens = Callable[[str], User]  # the user of a bearer token; raises Unauthorized
Certificates = Callable[[bytes], User]  # the user of a client's certificate (DER); raises Unauthorized


def authenticate(scope: Scope, tokens: Tokens, certificates: Certificates) -> User:
    """The user of a request; ANONYMOUS when it brings nothing. Unauthorized, or Forbidden for a stranger's socket."""
    state = scope["state"]
    if (who := state.get("peer")) is not None:
        if (refused := refusal(who)) is not None:
            raise refused
        return _local(who)
    if (certificate := state.get("certificate")) is not None:
        try:
            return certificates(certificate)
        except Unauthorized:  # as Kubernetes: the first proof that is good counts
            if bearer(scope) is None:
                raise
    token = bearer(scope)
    return ANONYMOUS if token is None else tokens(token)


def _local(who: Peer) -> User:
    """A process of this machine: system:admin is root, and the daemon's own user."""
    name = "system:admin" if who.uid in (0, os.geteuid()) else f"unix:{_user_name(who.uid)}"
    return User(name, groups=(MASTERS, AUTHENTICATED))


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def bearer(scope: Scope) -> str | None:
    """The token of the Authorization header, or of the sub-protocol that browsers must use. Unauthorized when it is
    of another form."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    given = [value for name, value in headers if name == b"authorization"]
    if not given:
        return _offered(scope)
    scheme, _, token = given[0].decode("latin-1").strip().partition(" ")
    if len(given) != 1 or scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized
    return token.strip()


PROTOCOL = "base64url.bearer.authorization.k8s.io."


def _offered(scope: Scope) -> str | None:
    offers: list[Any] = scope.get("subprotocols") or []
    found = [each.removeprefix(PROTOCOL) for each in offers if each.startswith(PROTOCOL)]
    if not found:
        return None
    try:
        return b64decode(found[0] + "=" * (-len(found[0]) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise Unauthorized from None
