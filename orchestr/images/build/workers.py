"""The worker processes of one build: started when needed, one piece of work at a time each."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from subprocess import PIPE
from typing import Any

import trio

from orchestr.images.build.dockerfile import Instruction
from orchestr.images.seam import ImageError

MOST = 3


class Workers:
    def __init__(self) -> None:
        self._idle: list[_Worker] = []
        self._limit = trio.Semaphore(MOST)

    async def do(self, what: str, at: Instruction | None = None, **request: Any) -> dict[str, Any]:
        """The answer of worker.py. BuildError with the place of `at` for what its author must change; ImageError."""
        async with self._limit, self._worker() as worker:
            answer = await worker.ask({"do": what, **request})
        if "refused" in answer and at is not None:
            at.fail(answer["refused"])
        if "refused" in answer or "error" in answer:
            place = f"{at.file}:{at.line}: " if at else ""
            raise ImageError(f"{place}cannot {what}: {answer.get('refused') or answer['error']}")
        return answer

    @asynccontextmanager
    async def _worker(self) -> "AsyncIterator[_Worker]":
        worker = self._idle.pop() if self._idle else await _start()
        try:
            yield worker
        except BaseException:
            await worker.end()
            raise
        self._idle.append(worker)

    async def end(self) -> None:
        while self._idle:
            await self._idle.pop().end()


async def _start() -> "_Worker":
    words = [sys.executable, "-I", "-m", "orchestr.images.build.worker"]
    names = ("PATH", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    return _Worker(await trio.lowlevel.open_process(words, stdin=PIPE, stdout=PIPE, env=environment))


class _Worker:
    def __init__(self, process: trio.Process) -> None:
        self._process, self._pending = process, b""

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send_all(json.dumps(request).encode() + b"\n")
            line = await self._line()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ImageError(f"cannot build: the worker ended ({error})") from error
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        while b"\n" not in self._pending:
            piece = await self._process.stdout.receive_some()
            if not piece:
                raise ImageError("cannot build: the worker ended (out of memory?)")
            self._pending += piece
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    async def end(self) -> None:
        """Its children go with it: they are few and at work for this build alone."""
        with trio.CancelScope(shield=True):
            self._process.kill()
            await self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    await stream.aclose()
