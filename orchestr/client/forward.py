"""A connection to a port of a pod, over one WebSocket of its own: channel 0 is its bytes, 1 says why there is none."""

import socket
from collections.abc import Iterator

from orchestr.client.exec import ExecStream
from orchestr.client.websocket import Channel

PROTOCOLS = "v5.channel.k8s.io, v4.channel.k8s.io"  # in v5, which only orch serves here, our direction can end alone
DATA, ERROR = 0, 1


class ForwardStream(ExecStream):
    """Pumped as an ExecStream; what came from the pod is told as stdout. `error` says why there is no connection."""

    def __init__(self, sock: socket.socket, received: bytes) -> None:
        super().__init__(sock, received)
        self._numbers = {DATA: b"", ERROR: b""}  # the port, in two bytes, comes first on each channel

    def _message(self, channel: int, data: bytes) -> Iterator[tuple[Channel, bytes]]:
        if channel not in self._numbers:
            return
        missing = 2 - len(self._numbers[channel])
        self._numbers[channel] += data[:missing]
        if rest := data[missing:]:
            if channel == ERROR:
                self.error += rest.decode(errors="replace")
            else:
                yield Channel.STDOUT, rest

    def _ended(self) -> None:
        self.closed = True
