"""Docker Engine and Compose."""

import json
import os
from collections.abc import Sequence
from typing import Any

from bench import stacks
from bench.place import BenchError, Done, Place

PROGRAMS = ["dockerd", "containerd", "containerd-shim-runc-v2", "docker-proxy"]
LOG = ("--log-opt", "max-size=10m", "--log-opt", "max-file=3")


class Docker:
    name = "docker"
    command = "docker"

    def __init__(self, place: Place) -> None:
        self.place = place
        self._file = f"/var/tmp/bench-{os.getpid()}-{self.name}/stack.yaml"
        self._kept: list[str] = []
        self._standing = 0

    def __call__(self, *words: str) -> Done:
        return self.place.run(self.command, *words)

    def start(self, rootfs: bytes) -> None:
        if not self.place.has(self.command):
            raise BenchError("not installed")
        self("compose", "version")
        self.place.feed(rootfs, self.command, "import", "-c", 'CMD ["/bin/sleep","1000000"]', "-", stacks.IMAGE)

    def stop(self) -> None:
        self.clear()
        if self._standing:
            self.down(self._standing)
        self("rmi", "-f", stacks.IMAGE)
        self.place.run("rm", "-rf", os.path.dirname(self._file))

    def up(self, count: int) -> Done:
        self._standing = count
        self.place.ask("write", path=self._file, text=stacks.compose(stacks.idle(count)))
        return self("compose", "--progress", "quiet", "-f", self._file, "up", "-d")

    def again(self, count: int) -> Done | None:
        return self.up(count)

    def down(self, count: int) -> Done:
        self._standing = 0
        return self("compose", "--progress", "quiet", "-f", self._file, "down")

    def keep(self, words: Sequence[str]) -> None:
        for word in words:
            self._start(f"bench-{word}", "--restart=always", command=("sleep", word))

    def _start(self, name: str, *options: str, command: Sequence[str]) -> None:
        self._kept.append(name)
        self("run", "-d", "--name", name, *options, stacks.IMAGE, *command)

    def run(self, megabytes: int, word: str) -> float:
        name = f"bench-{word}"
        self._kept.append(name)
        words = [self.command, "run", "-d", "--name", name, *self._log(), stacks.IMAGE, *stacks.loud(megabytes, word)]
        seconds: float = self.place.ask("lasts", argv=words, word=word)
        self.clear()
        return seconds

    def _log(self) -> Sequence[str]:
        return LOG

    def serve(self, port: int) -> str:
        self._start("bench-web", "-p", f"{port}:80", command=stacks.web())
        return self._address(json.loads(self("inspect", "bench-web").out)[0])

    def _address(self, found: dict[str, Any]) -> str:
        networks = found["NetworkSettings"]["Networks"].values()
        return str(next(iter(networks))["IPAddress"])

    def clear(self) -> None:
        if self._kept:
            self("rm", "-f", *self._kept)
        self._kept.clear()

    def list_command(self) -> Sequence[str]:
        return (self.command, "ps")

    def exec_command(self) -> Sequence[str]:
        return (self.command, "exec", f"{stacks.PROJECT}-s0-1", "true")

    def processes(self) -> dict[str, Any]:
        return {"names": PROGRAMS}
