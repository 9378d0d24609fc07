"""Connections to a pod's ports from inside its network: also to what listens on its localhost only."""

import os

import trio

from orchestr.agent import netns
from orchestr.api.core import Pod
from orchestr.runtime.seam import Runtime
from orchestr.server.node import Unreachable

LOCALHOST = ("127.0.0.1", "::1")


class Forwarding:
    def __init__(self, runtime: Runtime, pod: Pod) -> None:
        self._runtime, self._uid, self._name = runtime, pod.metadata.uid or "", pod.metadata.name
        self.address = LOCALHOST[0]

    def netns(self) -> int:
        """As agent.netns.Netns has it."""
        try:
            return self._runtime.netns(self._uid)
        except KeyError:
            raise OSError("the pod has ended") from None

    async def connect(self, port: int) -> trio.SocketStream:
        """Unreachable says why not, in the first family's words."""
        why: OSError | None = None
        for address in LOCALHOST:
            try:
                return await netns.connect(self, address, port)
            except OSError as error:
                why = why or error
        assert why is not None
        what = f"error forwarding port {port} to pod {self._name}, uid {self._uid}"
        text = f"dial tcp4 127.0.0.1:{port}: connect: {_words(why)}"
        raise Unreachable(f"{what}: failed to connect to localhost:{port} inside the pod: {text}")


def _words(why: OSError) -> str:
    return os.strerror(why.errno).lower() if why.errno else str(why)
