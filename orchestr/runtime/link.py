"""The daemon's end of one connection to orch-supervisor (the conversation: supervisor/protocol.py)."""

import socket
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

import trio

from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.supervisor import wire
from orchestr.runtime.supervisor.protocol import (
    RECEIVE,
    Decoder,
    Message,
    ProtocolError,
    close,
    encode,
    received,
    rights,
)


class LinkLost(Exception):
    """The supervisor went away; what was asked may or may not have been done."""


class Reply(NamedTuple):
    ok: dict[str, Any]
    fds: tuple[int, ...]  # the caller's


class _Waiting:
    def __init__(self) -> None:
        self.event = trio.Event()
        self.message: Message | None = None


class Link:
    """`told` gets every event, in order with the replies, and owns its descriptors."""

    def __init__(self, peer: trio.socket.SocketType, told: Callable[[Message], None]) -> None:
        self._peer, self._told = peer, told
        self._waiting: dict[int, _Waiting] = {}
        self._numbers = count(1)
        self._sending = trio.Lock()
        self.lost = False

    async def receive(self) -> None:
        """Until the connection is gone."""
        decoder = Decoder()
        try:
            while True:
                data, ancillary, flags, _ = await self._peer.recvmsg(*RECEIVE)
                for message in decoder.feed(data, received(ancillary), flags):
                    self._take(message)
                if not data:
                    return
        except (OSError, ProtocolError):
            return
        finally:
            decoder.close()
            self._end()

    def _take(self, message: Message) -> None:
        if "event" in message.body:
            self._told(message)
        elif (waiting := self._waiting.pop(message.body.get("id", 0), None)) is not None:
            waiting.message = message
            waiting.event.set()
        else:
            close(message.fds)  # whoever asked was cancelled

    def _end(self) -> None:
        self.lost = True
        self._peer.close()
        for waiting in self._waiting.values():
            waiting.event.set()
        self._waiting.clear()

    async def call(self, op: str, args: Mapping[str, Any], fds: Sequence[int] = ()) -> Reply:
        """RuntimeFailure as the supervisor words it; LinkLost when it is gone. `fds` stay the caller's."""
        number, waiting = next(self._numbers), _Waiting()
        data = _encoded({"id": number, "op": op, "args": args}, len(fds))
        self._waiting[number] = waiting
        try:
            await self._send(data, fds)
            await waiting.event.wait()
        finally:
            self._waiting.pop(number, None)
        if waiting.message is None:
            raise LinkLost
        body = waiting.message.body
        if "error" in body:
            raise wire.failure_from(body["error"])
        return Reply(body["ok"], waiting.message.fds)

    async def _send(self, data: bytes, fds: Sequence[int]) -> None:
        async with self._sending:
            if self.lost:
                raise LinkLost
            try:
                # Shielded: half a frame would spoil all that follow.
                with trio.CancelScope(shield=True):
                    sent = await self._peer.sendmsg([data], rights(fds))
                    while sent < len(data):
                        sent += await self._peer.send(data[sent:])
            except (OSError, trio.ClosedResourceError):
                raise LinkLost from None


def _encoded(body: dict[str, Any], fds: int) -> bytes:
    try:
        return encode(body, fds)
    except ProtocolError as error:
        raise RuntimeFailure(str(error), reason="TooLarge") from None


async def connect(place: str, told: Callable[[Message], None]) -> Link:
    """OSError when nobody listens."""
    peer = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await peer.connect(place)
    except BaseException:
        peer.close()
        raise
    return Link(peer, told)
