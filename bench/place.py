"""A place where commands run: this machine, or the peers' namespaces behind a command prefix. One agent runs in it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

AGENT = Path(__file__).with_name("agent.py").read_text(encoding="utf-8")


class BenchError(Exception):
    """A measurement cannot be made; the text says why."""


class Done(NamedTuple):
    seconds: float
    cpu: float
    code: int
    out: str
    err: str


class Place:
    """A context manager. `prefix`: words before a command to run it there; none for this machine."""

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        self.prefix = tuple(prefix)

    def __enter__(self) -> "Place":
        python = "python3" if self.prefix else sys.executable
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [*self.prefix, python, "-c", AGENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd="/",
            start_new_session=True,  # Ctrl-C is for us; what has been started is then ended in order
        )
        self._unread = 0  # answers that an interrupt kept from being read
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self._errors.close()

    def ask(self, op: str, **request: Any) -> Any:
        """What the agent's function of that name returns. BenchError with its words."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"op": op, **request}) + "\n")
            self._process.stdin.flush()
            self._unread += 1
            while self._unread:
                line = self._process.stdout.readline()
                self._unread -= 1
        except BrokenPipeError:
            line = ""
        if not line:
            self._errors.seek(0)
            raise BenchError(f"cannot measure with {' '.join(self.prefix) or 'python'}: {self._errors.read().decode()}")
        answer = json.loads(line)
        if "error" in answer:
            raise BenchError(f"cannot {op} {request.get('argv', '')}: {answer['error']}")
        return answer["ok"]

    def run(self, *argv: str, env: Mapping[str, str] | None = None, check: bool = True) -> Done:
        """A command, timed; BenchError with its words when it fails and `check`."""
        done = Done(**self.ask("run", argv=list(argv), env=dict(env or {})))
        if check and done.code:
            raise BenchError(f"{' '.join(argv)}: exit code {done.code}: {(done.err or done.out)[-600:].strip()}")
        return done

    def seconds(self, *argv: str, env: Mapping[str, str] | None = None) -> float:
        return self.run(*argv, env=env).seconds

    def feed(self, data: bytes, *argv: str) -> None:
        """A command with input, not timed."""
        done = subprocess.run([*self.prefix, *argv], input=data, capture_output=True)
        if done.returncode:
            raise BenchError(f"{' '.join(argv)}: {done.stderr.decode(errors='replace').strip()}")

    def has(self, *names: str) -> bool:
        return len(self.ask("which", names=list(names))) == len(names)


def prefix_from(text: str | None) -> tuple[str, ...]:
    import shlex

    return tuple(shlex.split(text or os.environ.get("BENCH_PEERS", "")))
