"""`python -I -m orchestr.network.resolver --run DIR`: names, published ports, and the watch over table and bridge.

One small process an instance, without threads; it outlives the daemon and serves its last state after its own restart.

    daemon -> {"op": "load"}                 the state file was replaced
           <- {"failed": [[protocol, address, port, errno], ...]}
    daemon -> {"op": "links", "links": [..]} pods that were connected since
    daemon -> {"op": "stop"}                 <- {} and the end
One line each way, over DIR/resolver.sock, root only.
"""

import gc
import json
import os
import signal
import socket
import struct
import sys
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from orchestr.network.resolver.hold import Holder
from orchestr.network.resolver.loop import READ, Loop
from orchestr.network.resolver.serve import NameServer
from orchestr.network.resolver.watch import Watch
from orchestr.network.resolver.zone import Zone
from orchestr.network.statefile import STATE, Snapshot, decode, decode_link

SOCKET = "resolver.sock"


class Resolver:
    def __init__(self, run: str) -> None:
        self._run = run
        self._loop = Loop()
        self._snapshot = self._read()
        self._holder = Holder(self._loop)
        self._server = NameServer(self._loop, self._zone(), self._gateways())
        self._watch = Watch(self._loop, run, lambda: self._snapshot)
        self._holder.hold(self._snapshot.held)
        self._listener = self._listen()

    def run(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        gc.collect()
        gc.freeze()
        self._loop.run()

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["op"]:
            case "load":
                self._snapshot = self._read()
                self._server.zone = self._zone()
                failed = self._holder.hold(self._snapshot.held)
                return {"failed": [[key.protocol, key.address, key.port, code] for key, code in failed]}
            case "links":
                for raw in request["links"]:
                    self._server.zone.add(decode_link(raw))
                return {}
            case "stop":
                self._loop.running = False
                return {}
        return {"error": f"unknown op {request['op']!r}"}

    def _read(self) -> Snapshot:
        with open(os.path.join(self._run, STATE), "rb") as file:
            return decode(file.read())

    def _zone(self) -> Zone:
        bridge = self._snapshot.bridge
        pods4 = IPv4Network((bridge.gateway4, bridge.prefix4), strict=False)
        pods6 = IPv6Network((bridge.gateway6, 64), strict=False)
        networks = (pods4, pods6, bridge.services4, bridge.services6)
        return Zone(self._snapshot.links, self._snapshot.services, networks)

    def _gateways(self) -> tuple[str, str]:
        return str(self._snapshot.bridge.gateway4), str(self._snapshot.bridge.gateway6)

    def _listen(self) -> socket.socket:
        path = os.path.join(self._run, SOCKET)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        temporary = f"{path}.{os.getpid()}"
        old = os.umask(0o177)
        try:
            listener.bind(temporary)
        finally:
            os.umask(old)
        listener.listen(16)
        listener.setblocking(False)
        os.rename(temporary, path)  # only now: whoever can connect is served
        self._loop.watch(listener, READ, self._accept)
        return listener

    def _accept(self, _: int) -> None:
        try:
            connection, _peer = self._listener.accept()
        except OSError:
            return
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self._watch.daemon = struct.unpack("=iII", credentials)[0]
        connection.setblocking(False)
        buffer = bytearray()
        self._loop.watch(connection, READ, lambda _: self._request(connection, buffer))

    def _request(self, connection: socket.socket, buffer: bytearray) -> None:
        try:
            data = connection.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        buffer += data
        if buffer.endswith(b"\n"):
            answer = json.dumps(self._do(json.loads(buffer))).encode() + b"\n"
            buffer.clear()
            connection.setblocking(True)
            connection.settimeout(1)
            try:
                connection.sendall(answer)
            except OSError:
                data = b""
            connection.setblocking(False)
        if not data:
            self._loop.close(connection)


def main(arguments: list[str]) -> int:
    match arguments:
        case ["--run", run]:
            Resolver(run).run()
            return 0
    print("usage: orch-resolver --run DIR", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
