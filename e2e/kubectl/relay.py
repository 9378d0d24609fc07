"""A port on the loopback for a unix socket: kubectl speaks TCP. Bytes go through as they are."""

import contextlib
import socket
import sys
import threading


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def serve(listener: socket.socket, path: str) -> None:
    """Until the listener is closed."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(path)
        except OSError:
            client.close()
            continue
        for pair in ((client, server), (server, client)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


def relay(path: str) -> tuple[socket.socket, int]:
    """(the listener, to be closed; its port)."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, path), daemon=True).start()
    return listener, listener.getsockname()[1]


if __name__ == "__main__":
    listener, port = relay(sys.argv[1])
    print(port, flush=True)
    threading.Event().wait()
