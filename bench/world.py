"""What measurements run in: the places, the engines that are here, the image, and a stack of idle containers."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property

from bench import image
from bench.engines import Engine
from bench.engines.docker import Docker
from bench.engines.orch import Orch
from bench.engines.podman import Podman
from bench.place import BenchError, Place


class World:
    """A context manager; engines are started when a measurement first asks for them."""

    def __init__(self, prefix: Sequence[str], *, quick: bool, services: int) -> None:
        self.quick, self.services = quick, services
        self.absent: dict[str, str] = {}  # engine -> why it is not here
        self._stack = ExitStack()
        self._prefix = prefix
        self._idle = 0

    def __enter__(self) -> "World":
        with ExitStack() as stack:
            self.here = stack.enter_context(Place())
            self.peers = stack.enter_context(Place(self._prefix))
            self.peers.ask("which", names=[])
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def rounds(self, full: int, quick: int = 2) -> int:
        return quick if self.quick else full

    @cached_property
    def rootfs(self) -> bytes:
        """The image's only layer."""
        return image.rootfs(image.busybox(self.peers))

    @cached_property
    def orch(self) -> Orch:
        """Our daemon; a failure here is a failure of the whole."""
        engine = Orch(self.here)
        self._stack.callback(told, engine)
        engine.begin()
        return engine

    @cached_property
    def engines(self) -> Mapping[str, Engine]:
        """Ours, and those peers that work here, all with the image."""
        self.orch.start(self.rootfs)
        found: dict[str, Engine] = {self.orch.name: self.orch}
        for engine in (Docker(self.peers), Podman(self.peers)):
            try:
                engine.start(self.rootfs)
            except BenchError as error:
                self.absent[engine.name] = str(error)
                continue
            self._stack.callback(told, engine)
            found[engine.name] = engine
        return found

    def idle(self, count: int) -> Mapping[str, Engine]:
        """The engines, each with a stack of so many idle services."""
        if self._idle != count:
            self.quiet()
            self._idle = count
            for engine in self.engines.values():
                engine.up(count)
        return self.engines

    def nothing(self) -> Mapping[str, Engine]:
        """The engines, with nothing running."""
        self.quiet()
        return self.engines

    def quiet(self) -> None:
        """Takes the idle stacks down, if there are any."""
        count, self._idle = self._idle, 0
        if count:
            for engine in self.engines.values():
                engine.down(count)


def told(engine: Engine) -> None:
    """Stops it; when that fails the others are stopped all the same."""
    try:
        engine.stop()
    except BenchError as error:
        print(f"bench: cannot clean up after {engine.name}: {error}", file=sys.stderr)
