"""Constant load on a published port, and a server that a rolling update may end at any moment.

SERVER is what an application should be: at SIGTERM it accepts nothing new, answers what it has begun, tells idle
keep-alive connections to close with their next answer, and exits.
"""

import http.client
import json
import socket
import threading
import time
from types import TracebackType

PACE = 0.005  # seconds between two requests of one thread
SERVER = """
import http.server, os, signal, socket, threading, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(0.3)
        body = os.environ.get("VERSION", "1").encode()
        self.send_response(200 if not os.path.exists("/unready") else 503)
        self.send_header("content-length", str(len(body)))
        if ending.is_set():
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
class Server(http.server.ThreadingHTTPServer):
    address_family, daemon_threads, request_queue_size = socket.AF_INET6, False, 128
ending = threading.Event()
server = Server(("::", 8080), Handler)
def end(*_):
    ending.set()
    threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGTERM, end)
print("serving", flush=True)
server.serve_forever(0.05)
server.server_close()
"""
COMMAND = json.dumps(["python3", "-u", "-c", SERVER])


def free_port() -> int:
    """A TCP port that nobody holds at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str = "/", host: str = "127.0.0.1") -> str:
    """The body of one request; AssertionError when it is not answered with 200."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
    except OSError as error:
        raise AssertionError(f"no answer from {host}:{port}: {error}") from error
    finally:
        connection.close()
    assert answer.status == 200, f"{answer.status} {body}"
    return body


class Load:
    """Requests from threads, with and without keep-alive, for as long as the `with` block lasts.

    `answers` counts them by body; `failed` names each one that was not answered with 200.
    """

    def __init__(self, port: int, threads: int = 2) -> None:
        self._port, self._over = port, threading.Event()
        self._lock = threading.Lock()
        self.answers: dict[str, int] = {}
        self.failed: list[str] = []
        kinds = [keep for keep in (True, False) for _ in range(threads)]
        self._threads = [threading.Thread(target=self._run, args=(keep,)) for keep in kinds]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def count(self) -> int:
        return sum(self.answers.values())

    def _run(self, keep: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._over.wait(PACE):
            begun = time.monotonic()
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                self._note(answer.status, answer.read().decode())
            except OSError as error:
                self._fail(f"{'kept' if keep else 'new'} connection, after {time.monotonic() - begun:.3f} s: {error!r}")
                connection.close()
            except http.client.HTTPException as error:
                self._fail(f"{'kept' if keep else 'new'} connection: {error!r}")
                connection.close()
            if not keep:
                connection.close()
        connection.close()

    def _note(self, status: int, body: str) -> None:
        with self._lock:
            if status == 200:
                self.answers[body] = self.answers.get(body, 0) + 1
            else:
                self.failed.append(f"status {status}")

    def _fail(self, text: str) -> None:
        with self._lock:
            self.failed.append(f"{time.monotonic():.3f}: {text}")
