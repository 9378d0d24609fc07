"""The daemon's side of the resolver process: start it, adopt it, talk to it, end it. Blocks; for worker threads."""

import json
import os
import select
import signal
import socket
import struct
import sys
from typing import Any

from orchestr.network.seam import NetworkFailure

SOCKET, LOG = "resolver.sock", "resolver.log"
PATIENCE = 10.0  # seconds


class Control:
    def __init__(self, run: str) -> None:
        self._run = run

    def call(self, **request: Any) -> dict[str, Any]:
        """One request, one answer. OSError if nobody is there."""
        with self._connect() as sock:
            sock.sendall(json.dumps(request, separators=(",", ":")).encode() + b"\n")
            with sock.makefile("rb") as file:
                line = file.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the resolver went away")
        return dict(json.loads(line))

    def pid(self) -> int:
        """Of the running resolver, as the kernel says; 0 if there is none."""
        try:
            with self._connect() as sock:
                return int(struct.unpack("=iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
        except OSError:
            return 0

    def ensure(self) -> int:
        """Starts it unless it runs; its pid. It must not be our child in a way that our end would be its end."""
        pid = self.pid()
        if pid:
            return pid
        command = [sys.executable, "-I", "-m", "orchestr.network.resolver", "--run", self._run]
        log = os.path.join(self._run, LOG)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        started = os.posix_spawn(
            sys.executable,
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        self._await(started)
        return started

    def stop(self) -> None:
        pid = self.pid()
        if not pid:
            return
        fd = os.pidfd_open(pid)
        try:
            try:
                self.call(op="stop")
            except OSError:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            if not ended(fd, PATIENCE):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                ended(fd, PATIENCE)
        finally:
            os.close(fd)
        reap(pid)

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(PATIENCE)
            sock.connect(os.path.join(self._run, SOCKET))
        except OSError:
            sock.close()
            raise
        return sock

    def _await(self, started: int) -> None:
        """Until it serves, or has ended."""
        fd = os.pidfd_open(started)
        try:
            for _ in range(int(PATIENCE / 0.005)):
                if self.pid() == started:
                    return
                if ended(fd, 0.005):
                    break
        finally:
            os.close(fd)
        reap(started)
        raise NetworkFailure(f"cannot start the resolver: {self._last_words()} (see {self._run}/{LOG})")

    def _last_words(self) -> str:
        try:
            with open(os.path.join(self._run, LOG), encoding="utf-8", errors="replace") as file:
                lines = file.read().strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "it ended without a word"


def ended(pidfd: int, patience: float) -> bool:
    """Whether the process ended within so many seconds. poll(2): select(2) refuses descriptors from 1024 on."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(patience * 1000))


def reap(pid: int) -> None:
    """Takes the exit status if it was our child; one that was adopted has another parent."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
