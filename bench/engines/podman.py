"""Podman: the same command line as Docker's, but for stacks, which `podman kube play` takes as pods."""

from collections.abc import Sequence
from typing import Any

from bench import stacks
from bench.engines.docker import Docker
from bench.place import BenchError, Done

PROGRAMS = ["podman", "conmon", "netavark", "aardvark-dns", "rootlessport"]


class Podman(Docker):
    name = "podman"
    command = "podman"

    def start(self, rootfs: bytes) -> None:
        if not self.place.has("podman", "conmon"):
            raise BenchError("not installed")
        image = f"localhost/{stacks.IMAGE}"
        self.place.feed(rootfs, "podman", "import", "-q", "-c", 'CMD ["/bin/sleep","1000000"]', "-", image)

    def up(self, count: int) -> Done:
        self._standing = count
        self.place.ask("write", path=self._file, text=stacks.pods(count))
        return self("kube", "play", "-q", self._file)

    def again(self, count: int) -> Done | None:
        return None  # it refuses pods that are there

    def down(self, count: int) -> Done:
        self._standing = 0
        return self("kube", "down", self._file)

    def _log(self) -> Sequence[str]:
        return ("--log-driver=k8s-file", "--log-opt=max-size=10m")

    def exec_command(self) -> Sequence[str]:
        return ("podman", "exec", "s0-c", "true")

    def processes(self) -> dict[str, Any]:
        return {"names": PROGRAMS}
