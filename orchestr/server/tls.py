"""https: the sockets, the TLS settings, and certificates that renew themselves while connections go on."""

import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta

import trio

from orchestr.api.errors import ApiError
from orchestr.server import pki
from orchestr.server.clientcertificates import take_any, user
from orchestr.server.log import log, pairs
from orchestr.server.user import User

CHECK = 3600.0  # seconds between two looks at the certificates
IPV6_FREEBIND = 78  # linux/in6.h; Python has no name for it
FREEBIND = {socket.AF_INET: (socket.SOL_IP, 15), socket.AF_INET6: (socket.IPPROTO_IPV6, IPV6_FREEBIND)}
DEFAULT_PORT_FILE = "https.port"
LOOPBACK = "127.0.0.1"


class CannotListen(Exception):
    """Text as "cannot VERB OBJECT: CAUSE (WHAT TO DO)"."""


def tcp_socket(host: str, port: int, *, free: bool = False) -> socket.socket:
    """A listening socket on one address; port 0 is any. With `free` the address need not be there yet. CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if free:
            sock.setsockopt(*FREEBIND[family], 1)
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        hint = "choose another port" if error.errno == errno.EADDRINUSE else "give an address of this machine"
        raise CannotListen(
            f"cannot listen on https://{shown(host)}:{port}: {(error.strerror or str(error)).lower()} ({hint})"
        ) from error
    return sock


def kept_socket(state: str) -> socket.socket:
    """A socket on a free loopback port, the one of the last time if it still is free: kubeconfig files hold it."""
    place = os.path.join(state, DEFAULT_PORT_FILE)
    try:
        with open(place, encoding="ascii") as file:
            return tcp_socket(LOOPBACK, int(file.read()))
    except (OSError, ValueError, CannotListen):
        sock = tcp_socket(LOOPBACK, 0)
    with open(place, "w", encoding="ascii") as file:
        file.write(f"{sock.getsockname()[1]}\n")
    return sock


def shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def url(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"https://{shown(host)}:{port}"


class Tls:
    """The TLS settings of one daemon. `context` stays the same object: renewal changes what it hands to new clients."""

    def __init__(self, directory: pki.Directory, names: Iterable[str], clock: Callable[[], datetime]) -> None:
        """Makes or reads the certificates; blocks. `names`: what clients may call the server."""
        self.directory, self.names, self._clock = directory, frozenset(names), clock
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        self.context.num_tickets = 0  # a resumed session would not look at the client's certificate again
        self.context.verify_mode = ssl.CERT_OPTIONAL  # without a certificate a token is needed
        take_any(self.context)
        self.context.set_alpn_protocols(["http/1.1"])
        self.ca: pki.Pair
        self.server: pki.Pair | None = None
        self.revoked = directory.revoked()
        self.refresh()

    @property
    def ca_pem(self) -> bytes:
        return self.ca.pem

    def user(self, der: bytes) -> User:
        """The user of a client's certificate. Unauthorized."""
        return user(der, self.ca.certificate, self._clock(), self.revoked)

    def issue(self, name: str, groups: Iterable[str], life: timedelta) -> pki.Pair:
        """A client's certificate. ValueError for a name that X.509 cannot hold."""
        now = self._clock()
        if name in self.revoked:  # it begins after what was taken back; certificates count in seconds
            now = max(now, self.revoked[name] + timedelta(seconds=1))
        return pki.client(self.ca, name, groups, now, life)

    def revoke(self, name: str) -> datetime:
        """Takes back every certificate of the user that was issued up to now. Blocks for the disk."""
        at = self._clock().replace(microsecond=0)
        revoked = {**self.revoked, name: at}
        self.directory.revoke(revoked)
        self.revoked = revoked
        return at

    def refresh(self) -> bool:
        """Renews what is due; whether anything was. Blocks for some milliseconds."""
        now, before = self._clock(), self.server
        self.ca = self.directory.authority(now)
        self.server = self.directory.serving(self.ca, self.names, now)
        if before is not None and before.certificate == self.server.certificate:
            return False
        self.context.load_cert_chain(self.directory.file("server.crt"), self.directory.file("server.key"))
        self.context.load_verify_locations(cadata=self.ca.pem.decode())
        return before is not None

    async def renew(
        self,
        sleep: Callable[[float], Awaitable[None]] = trio.sleep,
        then: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
    ) -> None:
        """Looks at the certificates now and then, for ever, and calls `then` after each renewal. A disk that is full
        now is tried again in an hour.
        """
        while True:
            await sleep(CHECK)
            try:
                if await trio.to_thread.run_sync(self.refresh):
                    log.info(pairs("certificates renewed", names=",".join(sorted(self.names))))
                    await then()
            except (OSError, ValueError, ApiError) as error:
                log.error(pairs("cannot renew the certificates", cause=str(error)[:256]))
