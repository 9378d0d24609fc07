"""Listening: unix sockets and https, one hypercorn connection per client, and an end that waits for nobody for long.

hypercorn's own worker does not tell the application which socket a request came by; here each connection gets
its peer's credentials, and a scope that the application may cancel, through the ASGI state.
"""

import contextlib
import os
import socket
import ssl
import stat
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.events import Event, Updated
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app

from orchestr.server.answer import Receive, Scope, Send
from orchestr.server.auth import group_id, peer
from orchestr.server.log import log, pairs
from orchestr.server.phrases import install
from orchestr.server.upgrade import Head, Upgrade, Upgraded, candidate, head_of

IDLE = 120.0  # seconds that a connection may wait between requests, and take for a request's head
STALLED = 60.0  # seconds that a client may leave a piece unread before it is cut off
CONNECTIONS = 4096  # at once by unix sockets, and as many by https; for more, those that idle longest are closed
HANDSHAKE = 10.0  # seconds for TLS
HEAD_LIMIT = 256 * 1024  # bytes; a command to exec travels in the head
GRACE = 5.0  # seconds for running requests when the server stops

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class AddressInUse(Exception):
    """Another daemon listens on this socket."""


def unix_socket(path: str) -> socket.socket:
    """A listening socket file, 0660 root:orch (0600 without that group); a dead daemon's leftover is replaced."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise AddressInUse(f"cannot listen on {path}: a file that is no socket is there (move it away)")
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                raise AddressInUse(f"cannot listen on {path}: another daemon does (stop it, or use --instance NAME)")
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    group = group_id()
    before = os.umask(0o177)  # bind creates the file: nobody may connect before its owner is right
    try:
        sock.bind(path)
    finally:
        os.umask(before)
    if group is not None:
        os.chown(path, 0, group)
        os.chmod(path, 0o660)
    sock.listen(1024)
    return sock


Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class BoundedStream:
    """What hypercorn needs of a stream; a client that does not read is cut off after STALLED seconds."""

    def __init__(self, stream: Stream, sock: trio.socket.SocketType) -> None:
        self.stream = stream
        self.socket = sock
        self.send_eof = getattr(stream, "send_eof", trio.lowlevel.checkpoint)  # TLS ends both ways at once
        self.aclose = stream.aclose
        self.head: Head | None = None  # of a request that is not for hypercorn
        self.rest = b""  # what was received and not given on
        self._stalled = STALLED

    async def peek(self) -> None:
        """Looks at the first request."""
        data = bytes(await self.stream.receive_some(65536))
        while candidate(data) and b"\r\n\r\n" not in data and len(data) < HEAD_LIMIT:
            more = bytes(await self.stream.receive_some(65536))
            if not more:
                break
            data += more
        head, end, rest = data.partition(b"\r\n\r\n")
        self.head = head_of(head + end) if end and candidate(data) else None
        self.rest = rest if self.head else data

    async def receive_some(self, most: int | None = None) -> bytes:
        if self.rest:
            rest, self.rest = self.rest, b""
            return rest
        return bytes(await self.stream.receive_some(most))

    def patience(self) -> None:
        """From now on the client may read as slowly as it likes, or pause: it holds up nobody but itself."""
        self._stalled = float("inf")

    async def send_all(self, data: bytes) -> None:
        try:
            with trio.fail_after(self._stalled):
                await self.stream.send_all(data)
        except trio.TooSlowError:
            raise trio.BrokenResourceError(f"the client left {len(data)} bytes unread for {STALLED:.0f} s") from None


class ClientServer(TCPServer):
    """hypercorn's, but for a client that has gone: its connection does not wait for the idle time-out.

    A request that ends after its client has closed starts that time-out once more; 50 requests a second would hold
    6000 descriptors.
    """

    def __init__(self, *words: Any, idle: Callable[[bool], None]) -> None:
        super().__init__(*words)
        self._left, self._idle = False, idle

    async def _read_data(self) -> None:
        await super()._read_data()
        self._left = True
        await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, Updated):
            self._idle(event.idle)
        if not (self._left and isinstance(event, Updated) and event.idle):
            await super().protocol_send(event)


def _config() -> Config:
    config = Config()
    config.keep_alive_timeout = IDLE
    config.keep_alive_max_requests = 1 << 62
    config.h11_max_incomplete_size = HEAD_LIMIT
    config.websocket_max_message_size = 1024 * 1024
    config.include_server_header = config.include_date_header = False
    config.accesslog = config.errorlog = None
    return config


async def serve(
    app: Application,
    sockets: Sequence[socket.socket],
    *,
    secure: Sequence[socket.socket] = (),
    tls: ssl.SSLContext | None = None,
    started: Callable[[], None] = lambda: None,
    connections: "Connections | None" = None,
) -> None:
    """Serves until cancelled; then streams end, running requests have GRACE seconds, and every connection is closed.

    On the sockets in `secure` it speaks https with `tls`.
    """
    install()
    async with trio.open_nursery() as nursery:
        connections = connections or Connections(app)
        await nursery.start(connections.run)
        try:
            plain, https = _listeners(sockets), _listeners(secure)
            started()
            if https:
                handle = partial(connections.handle, tls=tls)
                nursery.start_soon(partial(trio.serve_listeners, handle, https, handler_nursery=connections.nursery))
            await trio.serve_listeners(connections.handle, plain, handler_nursery=connections.nursery)
        finally:
            with trio.CancelScope(shield=True):
                await connections.end()


def _listeners(sockets: Sequence[socket.socket]) -> list[trio.SocketListener]:
    return [trio.SocketListener(trio.socket.from_stdlib_socket(sock)) for sock in sockets]


class Connections:
    """The open connections. They live in a shielded nursery, so that they end in order when the server is cancelled."""

    def __init__(self, app: Application) -> None:
        self.config, self.context = _config(), WorkerContext(None)
        self.upgrade: Upgrade | None = getattr(app, "upgrade", None)
        asgi: Any = app  # hypercorn types each message, starlette none
        self.app = wrap_app(asgi, self.config.wsgi_max_body_size, "asgi")
        # Apart, so that strangers who hold all connections to the network leave the machine's own socket open.
        self.slots = {secure: trio.CapacityLimiter(CONNECTIONS) for secure in (False, True)}
        self.idle: dict[bool, dict[trio.CancelScope, None]] = {secure: {} for secure in (False, True)}  # longest first
        self.streams: set[trio.SocketStream] = set()
        self.stopping, self.last_left, self.ended = trio.Event(), trio.Event(), trio.Event()
        self.nursery: trio.Nursery

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as self.nursery:
                task_status.started()
                await self.ended.wait()
                self.nursery.cancel_scope.cancel()

    async def handle(self, stream: trio.SocketStream, tls: ssl.SSLContext | None = None) -> None:
        if not self.slots[tls is not None].available_tokens:
            self._make_room(tls is not None)
        async with self.slots[tls is not None]:
            self.streams.add(stream)
            try:
                await self._serve(stream, tls)
            except Exception as error:
                log.error(pairs("connection failed", error=type(error).__name__, cause=str(error)[:256]))
            finally:
                self.streams.discard(stream)
                if self.stopping.is_set() and not self.streams:
                    self.last_left.set()
                await trio.aclose_forcefully(stream)

    def _make_room(self, secure: bool) -> None:
        """Closes the connection whose client has asked nothing for the longest time, if there is one."""
        scope = next(iter(self.idle[secure]), None)
        if scope is not None:
            del self.idle[secure][scope]
            scope.cancel()

    def _note(self, secure: bool, scope: trio.CancelScope, idle: bool) -> None:
        self.idle[secure].pop(scope, None)
        if idle:
            self.idle[secure][scope] = None

    async def _serve(self, stream: trio.SocketStream, tls: ssl.SSLContext | None) -> None:
        with trio.CancelScope() as scope:
            note = partial(self._note, tls is not None, scope)
            note(True)
            try:
                await self._speak(stream, tls, scope, note)
            finally:
                note(False)

    async def _speak(
        self,
        stream: trio.SocketStream,
        tls: ssl.SSLContext | None,
        scope: trio.CancelScope,
        note: Callable[[bool], None],
    ) -> None:
        state = ConnectionState({"connection": scope, "stopping": self.stopping})
        above: Any = stream
        if tls is not None:
            above = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
            try:
                with trio.fail_after(HANDSHAKE):
                    await above.do_handshake()
                state["certificate"] = above.getpeercert(binary_form=True)
            except (trio.BrokenResourceError, trio.TooSlowError):
                return  # it is told by TLS's own alert
        elif stream.socket.family == socket.AF_UNIX:
            state["peer"] = peer(stream.socket)
        bounded: Any = BoundedStream(above, stream.socket)
        state["patience"] = bounded.patience
        try:
            with trio.fail_after(IDLE):
                await bounded.peek()
        except (trio.BrokenResourceError, trio.TooSlowError):
            return
        if self.upgrade is not None and (head := bounded.head) is not None:
            bounded.patience()
            note(False)
            await self.upgrade.serve(head, Upgraded(above, bounded.rest), state)
            return
        await ClientServer(self.app, self.config, self.context, state, bounded, idle=note).run()

    async def end(self) -> None:
        self.stopping.set()
        await self.context.terminated.set()
        with trio.move_on_after(GRACE):
            if self.streams:
                await self.last_left.wait()
        for stream in list(self.streams):  # closing is what reaches a task that hypercorn shields while it sends
            await trio.aclose_forcefully(stream)
        self.ended.set()
