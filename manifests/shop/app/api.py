"""The shop's API. GET / counts a visit and says how things are; POST /orders places an order; GET /healthz."""

import json
import signal
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from resp import Redis, RedisError

local = threading.local()


def redis(*words: object) -> object:
    """One command, on a connection that the thread keeps and opens again after an error."""
    connection = getattr(local, "redis", None)
    try:
        if connection is None:
            connection = local.redis = Redis("redis")
        return connection(*words)
    except OSError:
        local.redis = None
        raise


def number(key: str) -> int:
    return int(str(redis("GET", key) or 0))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self.answer(lambda: {"schema": number("schema")})
        else:
            self.answer(self.front)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(lambda: {"queued": redis("LPUSH", "orders", redis("INCR", "placed"))}, 201)

    def front(self) -> dict[str, object]:
        orders = {"placed": number("placed"), "done": number("done")}
        return {"visits": redis("INCR", "visits"), "orders": orders, "pod": socket.gethostname()}

    def answer(self, make: Callable[[], object], code: int = 200) -> None:
        try:
            body = json.dumps(make()).encode() + b"\n"
        except (OSError, RedisError) as error:
            code, body = 503, json.dumps({"error": str(error)}).encode() + b"\n"
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        if self.path != "/healthz":
            print(f"{self.command} {self.path} {args[1] if len(args) > 1 else ''}")


class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6  # and IPv4 by mapped addresses
    daemon_threads = True

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


server = Server(("::", 8000), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("listening on port 8000")
server.serve_forever()
