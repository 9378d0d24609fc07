"""A registry that misbehaves as it is told: scripted answers of HTTP on loopback, over the content of one image."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, dict[str, str], bytes]  # status, headers, body
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Registry:
    """`answers(method, path, headers)`, where set, may give (status, headers, body) instead of the content, and is
    called with the lock held; `asked` are the requests so far."""

    def __init__(self, layers: list[bytes], diff_ids: list[str]) -> None:
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
             "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        ).encode()  # fmt: skip
        self.blobs = {digest(data): data for data in (config, *layers)}
        parts = [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(each), "size": len(each)}
                 for each in layers]  # fmt: skip
        self.manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": MANIFEST, "layers": parts, "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)
            }}
        ).encode()  # fmt: skip
        self.layers = [digest(each) for each in layers]
        self.answers: Callable[[str, str, dict[str, str]], Answer | None] | None = None
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.host = ""
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        with self._lock:
            self.asked.append((method, path, headers))
            special = self.answers(method, path, headers) if self.answers else None
        if special is not None:
            return special
        if "/manifests/" in path:
            return 200, {"Content-Type": MANIFEST, "Docker-Content-Digest": digest(self.manifest)}, self.manifest
        data = self.blobs.get(path.rpartition("/")[2])
        if data is None:
            return 404, {}, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"no such blob"}]}'
        if start := headers.get("range", "").removeprefix("bytes=").removesuffix("-"):
            return 206, {}, data[int(start) :]
        return 200, {}, data


@contextmanager
def served(registry: Registry) -> Iterator[Registry]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            headers = {key.lower(): value for key, value in self.headers.items()}
            status, more, body = registry.answer(self.command, self.path, headers)
            self.send_response(status)
            more.setdefault("Content-Length", str(len(body)))
            for key, value in more.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            if int(more["Content-Length"]) != len(body):
                self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = handle_one

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.host = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()
