"""A session's channels in one WebSocket: each message begins with its channel, a byte or, in base64, a digit.

    v5.channel.k8s.io   255 ends the channel that follows it: the only one in which stdin can end
    v4.channel.k8s.io   the end is a `Status` as JSON
    channel.k8s.io, ""  of a success nothing is told, of a failure the text
`base64.channel.k8s.io` and `v4.base64.channel.k8s.io` carry text messages.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.websockets import WebSocket, WebSocketDisconnect

from orchestr.server.answer import dump
from orchestr.server.session import CLOSE, ERROR, Piece


class Form(NamedTuple):
    text: bool
    version: int


FORMS: Mapping[str, Form] = {
    "v5.channel.k8s.io": Form(False, 5),
    "v4.channel.k8s.io": Form(False, 4),
    "v4.base64.channel.k8s.io": Form(True, 4),
    "channel.k8s.io": Form(False, 1),
    "base64.channel.k8s.io": Form(True, 1),
    "": Form(False, 1),
}


def agreed(offered: list[str], known: Mapping[str, object]) -> str | None:
    """The first that both know; "" when the client names none and that is known, None when there is none in common."""
    return next((each for each in offered or [""] if each in known), None)


class Channels:
    """A Carrier. `accept` comes first."""

    def __init__(self, socket: WebSocket, protocol: str) -> None:
        self.socket, self.protocol = socket, protocol
        self.text, self.version = FORMS[protocol]

    async def accept(self, first: int) -> None:
        """Says with an empty message on the channel `first` that all is ready."""
        await self.socket.accept(subprotocol=self.protocol or None)
        await self.send(first, b"")

    async def receive(self) -> Piece | None:
        while (message := await self.socket.receive())["type"] != "websocket.disconnect":
            data = decoded(message, text=self.text)
            if data[:1] == bytes([CLOSE]) and self.version >= 5:
                if len(data) > 1:
                    return Piece(data[1], end=True)
            elif data:
                return Piece(data[0], data[1:])
        return None

    async def send(self, channel: int, data: bytes) -> None:
        if self.text:
            await self.socket.send_text(f"{channel}{base64.b64encode(data).decode()}")
        else:
            await self.socket.send_bytes(bytes([channel]) + data)

    async def finish(self, status: Mapping[str, Any]) -> None:
        if self.version >= 4:
            await self.send(ERROR, dump(status))
        elif status["status"] != "Success":
            await self.send(ERROR, str(status["message"]).encode())
        await self.socket.close()

    async def abort(self) -> None:
        await self.socket.close(1001, "the server ends")


def decoded(message: Mapping[str, Any], *, text: bool) -> bytes:
    """A message as in the binary forms: its channel as the first byte. WebSocketDisconnect when it is broken."""
    if not text:
        return message.get("bytes") or (message.get("text") or "").encode()
    raw = (message.get("text") or "").encode() or message.get("bytes") or b""
    if not raw:
        return b""
    try:
        return bytes([raw[0] - ord("0")]) + base64.b64decode(raw[1:], validate=True)
    except (binascii.Error, ValueError):
        raise WebSocketDisconnect(1007, "a message is not base64") from None
