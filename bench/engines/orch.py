"""Our side: an instance of its own, driven by its command line."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import image, stacks
from bench.place import BenchError, Done, Place

ORCH = str(Path(sys.executable).with_name("orch"))


class Orch:
    name = "orch"

    def __init__(self, place: Place) -> None:
        self.place = place
        self._env = {"ORCH_INSTANCE": f"b{os.getpid()}"}
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")

    def __call__(self, *words: str) -> Done:
        return self.place.run(ORCH, *words, env=self._env)

    def begin(self) -> None:
        self("system", "start")

    def start(self, rootfs: bytes) -> None:
        archive = Path(self._folder.name, "image.tar")
        archive.write_bytes(image.docker_archive(rootfs))
        self("image", "load", str(archive))

    def stop(self) -> None:
        self("system", "stop", "--all", "--purge")
        self._folder.cleanup()

    def _apply(self, text: str, *options: str) -> Done:
        return self("apply", "-f", self._file(text), *options)

    def _file(self, text: str) -> str:
        file = Path(self._folder.name, "compose.yaml")
        file.write_text(text)
        return str(file)

    def up(self, count: int) -> Done:
        return self._apply(stacks.compose(stacks.idle(count)))

    def again(self, count: int) -> Done | None:
        return self.up(count)

    def down(self, count: int) -> Done:
        return self("delete", "-f", self._file(stacks.compose(stacks.idle(count))), "--volumes", "--yes")

    def keep(self, words: Sequence[str]) -> None:
        self._apply(stacks.compose({f"k{word}": ("sleep", word) for word in words}))

    def run(self, megabytes: int, word: str) -> float:
        file = self._file(stacks.compose({"loud": stacks.loud(megabytes, word)}, restart="no"))
        seconds: float = self.place.ask("lasts", argv=[ORCH, "apply", "-f", file], word=word, env=self._env)
        self.clear()
        return seconds

    def serve(self, port: int) -> str:
        self._apply(stacks.compose({"web": stacks.web()}, more=f'ports: ["{port}:80"]'))
        (pod,) = json.loads(self("get", "pods", "-n", stacks.PROJECT, "-o", "json").out)["items"]
        return str(pod["status"]["podIP"])

    def clear(self) -> None:
        self("delete", "-p", stacks.PROJECT, "-f", f"{self._folder.name}/compose.yaml", "--volumes", "--yes")

    def list_command(self) -> Sequence[str]:
        return (ORCH, "--instance", self._env["ORCH_INSTANCE"], "status", "-n", stacks.PROJECT)

    def exec_command(self) -> Sequence[str]:
        return (ORCH, "--instance", self._env["ORCH_INSTANCE"], "exec", "-n", stacks.PROJECT, "s0", "true")

    @property
    def socket(self) -> str:
        return str(json.loads(self("system", "status", "-o", "json").out)["socket"])

    def system(self) -> dict[str, int]:
        """Process ids of the daemon's parts."""
        found = json.loads(self("system", "status", "-o", "json").out)
        parts = {"daemon": found["pid"], "supervisor": found["supervisorPid"], "resolver": found["resolverPid"]}
        if not all(parts.values()):
            raise BenchError(f"cannot measure orch: a part of it does not run: {parts}")
        return parts

    def processes(self) -> dict[str, Any]:
        return {"pids": list(self.system().values())}
