"""Runs in the machine: does what the tests ask over a virtio port, as JSON lines.

    asked     {"id": 1, "shell": "uname -r", "stdin": "", "timeout": 60}
    answered  {"boot": "..."} once; then {"id": 1, "out": "..."} as output comes, {"id": 1, "err": "..."},
              and {"id": 1, "code": 0} at the end (124: it took longer than `timeout` seconds and was killed)

Several commands run at once. Standard library only.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from typing import IO, Any

BOOT = "/proc/sys/kernel/random/boot_id"


class Port:
    """One line at a time into the port, whole."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.lock = threading.Lock()

    def say(self, **what: object) -> None:
        data = memoryview(json.dumps(what).encode() + b"\n")
        with self.lock:
            while data:
                data = data[os.write(self.fd, data) :]

    def lines(self) -> Any:
        with os.fdopen(os.dup(self.fd), "rb", buffering=0) as file:
            rest = b""
            while True:
                block = file.read(65536)
                *whole, rest = (rest + (block or b"")).split(b"\n")
                yield from whole


def run(port: Port, asked: dict[str, Any]) -> None:
    child = subprocess.Popen(
        ["/bin/bash", "-c", asked["shell"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd="/root", start_new_session=True,
    )  # fmt: skip
    readers = [threading.Thread(target=pump, args=(port, asked["id"], name, getattr(child, f"std{name}")))
               for name in ("out", "err")]  # fmt: skip
    for reader in readers:
        reader.start()
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError), child.stdin as stdin:
        stdin.write(asked.get("stdin", "").encode())
    try:
        code = child.wait(asked.get("timeout", 120))
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        code = 124
    for reader in readers:
        reader.join(5)  # a daemon may hold the pipe for ever
    port.say(id=asked["id"], code=code)


def pump(port: Port, number: int, name: str, pipe: IO[bytes]) -> None:
    while block := os.read(pipe.fileno(), 65536):
        port.say(**{"id": number, name: block.decode(errors="replace")})


def main() -> None:
    port = Port(sys.argv[1])
    with open(BOOT, encoding="ascii") as file:
        port.say(boot=file.read().strip())
    for line in port.lines():
        threading.Thread(target=run, args=(port, json.loads(line)), daemon=True).start()


if __name__ == "__main__":
    main()
