"""A request's body on its way in: has it ended, and if not, can the rest be thrown away in good time?"""

import trio

from orchestr.server.answer import Message, Receive

REST = 16 * 1024 * 1024  # bytes that are thrown away to keep a connection
PATIENCE = 5.0  # seconds
SOON = 0.05  # seconds in which an ordinary body has come


class Inbound:
    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.ended = self.ended or message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def drain(self, seconds: float = PATIENCE) -> bool:
        """Whether the request has been read to its end; else the connection is of no more use."""
        left = REST
        with trio.move_on_after(seconds):
            while not self.ended and left > 0:
                left -= len((await self.receive()).get("body", b""))
        return self.ended
