"""One class per engine, with the same few methods: what a measurement asks of each of them."""

from collections.abc import Sequence
from typing import Any, Protocol

from bench.place import Done, Place


class Engine(Protocol):
    name: str
    place: Place

    def start(self, rootfs: bytes) -> None:
        """Makes the image. BenchError when it cannot be used."""

    def stop(self) -> None:
        """Leaves nothing of `start` behind."""

    def up(self, count: int) -> Done:
        """A stack of so many services, until all run."""

    def again(self, count: int) -> Done | None:
        """The same once more, unchanged; None when the engine has no such thing."""

    def down(self, count: int) -> Done: ...

    def keep(self, words: Sequence[str]) -> None:
        """Containers that are started again when they end; each sleeps for one of `words`."""

    def run(self, megabytes: int, word: str) -> float:
        """Seconds that a container lives which prints so much; its process has the argument `word`."""

    def serve(self, port: int) -> str:
        """An HTTP server published at a port of the machine; the container's own address, where it is at port 80."""

    def clear(self) -> None:
        """Removes what `keep`, `run` and `serve` made."""

    def list_command(self) -> Sequence[str]:
        """Lists what runs."""

    def exec_command(self) -> Sequence[str]:
        """Runs `true` in a container of the stack."""

    def processes(self) -> dict[str, Any]:
        """Which processes are the engine's own, as the agent's `memory` and `cpu` take it."""
