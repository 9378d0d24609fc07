"""A command in a container, as the CLI sees it: one socket that carries all its streams."""

import json
import socket
from collections.abc import Iterator
from typing import Any

from orchestr.client.websocket import Channel, Decoder, Opcode, encode


class ExecStream:
    """Pump it with select: when `fileno()` is readable, `receive()` gives what came; while `pending`, `flush()` when it
    is writable. Neither way waits for the other. `exit_code` is set at the end."""

    def __init__(self, sock: socket.socket, received: bytes) -> None:
        self.socket = sock
        self.decoder = Decoder(received)
        self.message = b""  # of a message in several frames
        self.pending = bytearray()  # frames that the socket did not take yet
        self.exit_code: int | None = None
        self.error = ""  # why the command could not run
        self.closed = False

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, data: bytes) -> None:
        """To the command's stdin."""
        self._send(Channel.STDIN, data)

    def end_stdin(self) -> None:
        self._send(Channel.CLOSE, bytes([Channel.STDIN]))

    def resize(self, rows: int, columns: int) -> None:
        self._send(Channel.RESIZE, json.dumps({"Width": columns, "Height": rows}).encode())

    def received(self) -> list[tuple[Channel, bytes]]:
        """What is here already: bytes may have come along with the handshake. Look before the first select."""
        return list(self._messages())

    def receive(self) -> list[tuple[Channel, bytes]]:
        """What came: stdout and stderr pieces. Blocks when nothing is there; sets `closed` at the end."""
        found = self.received()
        if not found and not self.closed:
            data = self._recv()
            if not data:
                self._ended()
            self.decoder.feed(data)
            found = self.received()
        return found

    def _recv(self) -> bytes:
        try:
            data = self.socket.recv(256 * 1024)
            while pending := _decrypted(self.socket):  # select does not see it
                data += self.socket.recv(pending)
            return data
        except ConnectionResetError:  # closed before it had read all of our input
            return b""

    def flush(self) -> None:
        """Sends what the socket takes now; nothing more once the other side has closed."""
        try:
            sent = self._send_now()
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            sent = len(self.pending)
        del self.pending[:sent]

    def _send_now(self) -> int:
        if not hasattr(self.socket, "pending"):
            return self.socket.send(self.pending, socket.MSG_DONTWAIT)
        from ssl import SSLWantReadError, SSLWantWriteError

        self.socket.settimeout(0)  # TLS takes no flags; what it could not send is offered again, and more behind it
        try:
            return self.socket.send(self.pending)
        except (SSLWantReadError, SSLWantWriteError):
            return 0
        finally:
            self.socket.settimeout(None)

    def _messages(self) -> Iterator[tuple[Channel, bytes]]:
        for frame in self.decoder.frames():
            if frame.opcode is Opcode.CLOSE:
                self._ended()
            elif frame.opcode is Opcode.PING:
                self._queue(encode(Opcode.PONG, frame.payload))
            elif frame.opcode is not Opcode.PONG:
                self.message += frame.payload
                if frame.final and self.message:
                    message, self.message = self.message, b""
                    yield from self._message(message[0], message[1:])

    def _message(self, channel: int, data: bytes) -> Iterator[tuple[Channel, bytes]]:
        if channel == Channel.ERROR:
            self._status(json.loads(data))
        elif channel in (Channel.STDOUT, Channel.STDERR) and data:
            yield Channel(channel), data

    def _status(self, status: dict[str, Any]) -> None:
        if status.get("status") == "Success":
            self.exit_code = 0
            return
        causes = (status.get("details") or {}).get("causes") or []
        codes = [cause.get("message", "") for cause in causes if cause.get("reason") == "ExitCode"]
        self.exit_code = int(codes[0]) if codes and codes[0].isdecimal() else 1
        self.error = "" if codes else str(status.get("message") or "the command failed")

    def _ended(self) -> None:
        self.closed = True
        if self.exit_code is None:
            self.exit_code, self.error = 1, self.error or "the daemon closed the connection before the command ended"

    def _send(self, channel: Channel, data: bytes) -> None:
        self._queue(encode(Opcode.BINARY, bytes([channel]) + data))

    def _queue(self, frame: bytes) -> None:
        self.pending += frame
        self.flush()

    def close(self) -> None:
        self.socket.close()


def _decrypted(sock: socket.socket) -> int:
    """Bytes that TLS has decrypted and nobody has read."""
    pending = getattr(sock, "pending", None)
    return pending() if pending else 0
