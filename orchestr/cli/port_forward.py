"""`orch port-forward TARGET [LOCAL:]PORT...`: ports of this machine that lead to ports of a pod, until ^C."""

import argparse
import select
import socket
import sys
import threading
from collections.abc import Mapping
from typing import Any

from orchestr.api.errors import ApiError
from orchestr.cli import OK, context, targets
from orchestr.cli.errors import Bad, Failed
from orchestr.cli.kinds import find
from orchestr.cli.options import add_namespace
from orchestr.client.forward import ForwardStream
from orchestr.client.paths import path
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch port-forward db 5432            localhost:5432 leads to port 5432 of the service's pod
  orch port-forward pod/web 8080:80 :9090"""
PIECE = 64 * 1024


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--address", metavar="IP", default="127.0.0.1", help="listen there (default: 127.0.0.1)")
    parser.add_argument("target", metavar="TARGET", help="a service, a pod or kind/name")
    parser.add_argument("ports", metavar="[LOCAL:]PORT", nargs="+", help="LOCAL may be empty or 0: any free port")
    add_namespace(parser, all_=False)


def parsed(word: str) -> tuple[int, str]:
    """(local port, the pod's port or its name). Bad."""
    local, colon, remote = word.rpartition(":")
    local = (local or "0") if colon else (remote if remote.isdecimal() else "0")
    if (
        not local.isdecimal()
        or int(local) > 65535
        or not remote
        or (remote.isdecimal() and not 0 < int(remote) < 65536)
    ):
        raise Bad(f"orch port-forward: {word!r} is no port (write 80, 8080:80 or :80)")
    return int(local), remote


def run(args: argparse.Namespace) -> int:
    wanted = [parsed(word) for word in args.ports]
    client, namespace = context.client(args), context.namespace(args)
    pod = targets.running(targets.pods(client, namespace, [args.target]))
    if pod is None:
        raise Failed(f"orch port-forward: no pod of {args.target} is running (orch status says why)")
    service = _service(client, namespace, args.target)
    listeners = [_listen(args.address, local, _port(pod, service, remote)) for local, remote in wanted]
    try:
        _serve(client, namespace, pod["metadata"]["name"], dict(listeners))
    except KeyboardInterrupt:  # how it is meant to end
        print(file=sys.stderr)
    finally:
        for listener, _ in listeners:
            listener.close()
    return OK


def _service(client: Client, namespace: str, target: str) -> Mapping[str, Any] | None:
    """The Service, if one is named: its ports lead to others of its pods."""
    kind, _, name = target.rpartition("/")
    return client.get(path("services", namespace, name)) if kind and find(kind).kind == "Service" else None


def _port(pod: Mapping[str, Any], service: Mapping[str, Any] | None, remote: str) -> int:
    if service is not None:
        ports = service["spec"].get("ports") or []
        found = next((each for each in ports if remote in (str(each["port"]), each.get("name"))), None)
        if found is None:
            there = ", ".join(str(each["port"]) for each in ports)
            raise Bad(f"orch port-forward: the service has no port {remote} (it has {there})")
        remote = str(found.get("targetPort") or found["port"])
    if remote.isdecimal():
        return int(remote)
    every = [each for container in pod["spec"]["containers"] for each in container.get("ports") or []]
    number = next((each["containerPort"] for each in every if each.get("name") == remote), None)
    if number is None:
        raise Bad(
            f"orch port-forward: no container of {pod['metadata']['name']} names a port {remote!r} (give a number)"
        )
    return int(number)


def _listen(address: str, local: int, remote: int) -> tuple[socket.socket, int]:
    try:
        listener = socket.create_server((address, local))
    except OSError as error:
        raise Failed(f"orch port-forward: cannot listen on {address}:{local}: {error.strerror}") from error
    print(f"Forwarding from {address}:{listener.getsockname()[1]} -> {remote}", flush=True)
    return listener, remote


def _serve(client: Client, namespace: str, pod: str, listeners: Mapping[socket.socket, int]) -> None:
    while True:
        for listener in select.select(list(listeners), [], [])[0]:
            peer, _ = listener.accept()
            work = (client, namespace, pod, listeners[listener], peer)
            threading.Thread(target=_connection, args=work, daemon=True).start()


def _connection(client: Client, namespace: str, pod: str, port: int, peer: socket.socket) -> None:
    with peer:
        try:
            stream = client.forward(namespace, pod, port)
        except (ApiError, OSError) as error:
            print(f"orch port-forward: {error}", file=sys.stderr)
            return
        try:
            pump(stream, peer)
        except OSError:
            return  # one side is gone, and the other has nothing to say to it
        finally:
            stream.close()
        if stream.error:
            print(f"orch port-forward: {stream.error}", file=sys.stderr)


def pump(stream: ForwardStream, peer: socket.socket) -> None:
    """Both ways until the pod has ended; neither way waits for the other."""
    peer.setblocking(False)
    down, reading = b"".join(data for _, data in stream.received()), True
    while down or not stream.closed:
        readers: list[Any] = [peer] if reading and not stream.pending else []
        readers += [] if down or stream.closed else [stream]
        writers: list[Any] = [*([peer] if down else []), *([stream] if stream.pending else [])]
        readable, writable, _ = select.select(readers, writers, [])
        if stream in writable:
            stream.flush()
        if peer in writable:
            down = down[peer.send(down) :]
        if stream in readable:
            down += b"".join(data for _, data in stream.receive())
        if peer in readable:
            data = peer.recv(PIECE)
            if data:
                stream.send(data)
            else:
                reading = False
                stream.end_stdin()
