"""What daemon and supervisor say to each other over a unix stream socket.

    client                                     supervisor
      | -- console {container} + fd ----------->  |   a terminal's master that outlived the supervisor
      | -- hello {seen: {container: status}} -->  |   exits that only the client saw, while no supervisor lived
      | <-- sandbox {..} (+ fd netns) ----------  |   once for each sandbox, and at each new one
      | <-- container {..} (+ fds held) --------  |   once for each container, and at each change
      | <-- reply to hello {pid, version} ------  |   from here on the client knows everything
      |                                           |
      | -- start {spec} ----------------------->  |
      | <-- container {..} + fds held ----------  |   what changed comes before the reply
      | <-- reply {} ---------------------------  |   or an error {message, reason, exit_code}
      |                                           |
      | -- exec {..} + fds in, out, err ------->  |   no fds with a tty
      | <-- reply {exec, pid} + fds pidfd(, console)
      | <-- exec_exit {exec, status} -----------  |   to the client that asked for it
      | -- end, forget, kill, update, .. ------>  |   see server.py for all
      | (connection gone) -> its execs are killed |

`held` is (pidfd, stdout, stderr(, stdin's writer)(, console)): the client keeps them open while the container runs, so
that neither an exit nor a byte in a pipe is lost when the supervisor is killed. A frame is a 4-byte big-endian length
and that many bytes of JSON; its member `fds` says how many descriptors came along (SCM_RIGHTS, attached to the first
byte of the frame). Requests carry `id`, `op` and `args`, replies the same `id` with `ok` or `error`, all else an
`event`. Both sides read a frame or drop the connection: a frame over the limit, JSON that is no object, and
descriptors that nobody announced are fatal for it.
"""

import array
import json
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

VERSION = 1
FRAME_LIMIT = 4 << 20  # bytes; a config.json with a written-out seccomp profile is about 40 KB
FDS_LIMIT = 8  # of one frame
_CHUNK = 1 << 16
_ANCILLARY = socket.CMSG_SPACE(FDS_LIMIT * 4)


class ProtocolError(Exception):
    """The peer broke the rules: the connection is of no more use."""


class Message(NamedTuple):
    body: dict[str, Any]
    fds: tuple[int, ...]  # owned by whoever takes the message


def encode(body: dict[str, Any], fds: int = 0) -> bytes:
    """One frame. ProtocolError when it is over the limit."""
    data = json.dumps({**body, "fds": fds} if fds else body, separators=(",", ":")).encode()
    if len(data) > FRAME_LIMIT:
        raise ProtocolError(
            f"cannot send {len(data)} bytes: the limit is {FRAME_LIMIT} (make the specification smaller)"
        )
    return len(data).to_bytes(4, "big") + data


def rights(fds: Sequence[int]) -> list[tuple[int, int, bytes]]:
    """Ancillary data for sendmsg(2)."""
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())] if fds else []


def received(ancillary: Sequence[tuple[int, int, bytes]]) -> list[int]:
    """Descriptors out of recvmsg(2)'s ancillary data."""
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


RECEIVE = (_CHUNK, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)  # arguments of recvmsg


class Decoder:
    """Bytes and descriptors in, messages out. Descriptors of a broken peer are closed by `close`."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._fds: deque[int] = deque()

    def feed(self, data: bytes, fds: Sequence[int], flags: int = 0) -> list[Message]:
        """Whole messages so far; ProtocolError at the first broken one."""
        self._data += data
        self._fds.extend(fds)
        if flags & socket.MSG_CTRUNC:
            raise ProtocolError(f"cannot read a message: more than {FDS_LIMIT} descriptors came along")
        messages: list[Message] = []
        try:
            while (message := self._next()) is not None:
                messages.append(message)
        except ProtocolError:
            for message in messages:
                close(message.fds)
            raise
        if len(self._fds) > FDS_LIMIT:
            raise ProtocolError("cannot read a message: descriptors came that no frame announced")
        return messages

    def _next(self) -> Message | None:
        if len(self._data) < 4:
            return None
        size = int.from_bytes(self._data[:4], "big")
        if size > FRAME_LIMIT:
            raise ProtocolError(f"cannot read a message of {size} bytes: the limit is {FRAME_LIMIT}")
        if len(self._data) < 4 + size:
            return None
        body = _object(bytes(self._data[4 : 4 + size]))
        del self._data[: 4 + size]
        count = body.pop("fds", 0)
        if not isinstance(count, int) or not 0 <= count <= len(self._fds):
            raise ProtocolError(f"cannot read a message: {count} descriptors announced, {len(self._fds)} came")
        return Message(body, tuple(self._fds.popleft() for _ in range(count)))

    def close(self) -> None:
        close(self._fds)
        self._fds.clear()


def _object(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"cannot read a message: {error}") from None
    if not isinstance(body, dict):
        raise ProtocolError("cannot read a message: it is no JSON object")
    return body


def close(fds: Sequence[int] | deque[int]) -> None:
    for fd in fds:
        if fd >= 0:
            os.close(fd)
