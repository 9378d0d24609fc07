"""A blob on its way to a registry: mounted, sent, broken off and gone on with, begun anew."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from orchestr.images.blobs import Blobs
from orchestr.images.registry import session as sessions
from orchestr.images.registry.session import Session, Unreachable
from orchestr.images.registry.settings import Endpoint
from orchestr.images.registry.upload import send

BLOB = bytes(range(256)) * 20_000
DIGEST = f"sha256:{sha256(BLOB).hexdigest()}"


class Upload(ThreadingHTTPServer):
    """The upload half of a registry. `cuts`: after so many bytes each PATCH is cut; `lost`: it forgets uploads then."""

    daemon_threads = True

    def __init__(self, cuts: list[int], *, lost: bool = False, mounts: int = 202) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cuts, self.lost, self.mounts = cuts, lost, mounts
        self.held: dict[str, bytearray] = {}
        self.asked: list[str] = []
        self.stored = b""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upload

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, code: int, **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def do_POST(self) -> None:
        self.server.asked.append("MOUNT" if "mount=" in self.path else "POST")
        if "mount=" in self.path and self.server.mounts != 202:
            return self._answer(self.server.mounts)
        name = f"/up/{len(self.server.held)}"
        self.server.held[name] = bytearray()
        return self._answer(202, Location=name)

    def do_GET(self) -> None:
        self.server.asked.append("GET")
        held = self.server.held.get(self.path)
        if held is None or self.server.lost:
            return self._answer(404)
        return self._answer(204, Range=f"0-{max(len(held) - 1, 0)}", Location=self.path)

    def do_PATCH(self) -> None:
        length, held = int(self.headers["content-length"]), self.server.held[self.path]
        self.server.asked.append(f"PATCH {self.headers['content-range']}")
        if self.server.cuts:
            held += self.rfile.read(self.server.cuts.pop(0))
            self.close_connection = True
            return None
        held += self.rfile.read(length)
        return self._answer(202, Location=f"{self.path}?more=1")

    def do_PUT(self) -> None:
        self.server.asked.append("PUT")
        self.server.stored = bytes(self.server.held[self.path.partition("?")[0]])
        self._answer(201)


@contextmanager
def serving(server: Upload) -> Iterator[Session]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    session = Session(Endpoint(f"http://127.0.0.1:{server.server_port}"), "team/app", None, "pull,push")
    try:
        yield session
    finally:
        session.close()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_pause", lambda attempt: 0.001)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    made = Blobs(str(tmp_path / "store"))
    (tmp_path / "blob").write_bytes(BLOB)
    with open(tmp_path / "blob", "rb") as file:
        made.add(file)
    return made


def sent(server: Upload, blobs: Blobs, source: str = "") -> list[str]:
    with serving(server) as session:
        send(session, blobs, DIGEST, len(BLOB), lambda line: None, source)
    return server.asked


def test_in_one_piece(blobs: Blobs) -> None:
    server = Upload([])
    assert sent(server, blobs) == ["POST", f"PATCH 0-{len(BLOB) - 1}", "PUT"]
    assert server.stored == BLOB


def test_what_breaks_off_goes_on_where_it_did(blobs: Blobs) -> None:
    server = Upload([1_500_000, 2_000_000])
    end = len(BLOB) - 1
    assert sent(server, blobs) == [
        "POST", f"PATCH 0-{end}", "GET", f"PATCH 1500000-{end}", "GET", f"PATCH 3500000-{end}", "PUT",
    ]  # fmt: skip
    assert server.stored == BLOB


def test_an_upload_that_the_registry_forgot_is_begun_anew(blobs: Blobs) -> None:
    server = Upload([1_000_000], lost=True)
    assert sent(server, blobs)[-4:] == ["GET", "POST", f"PATCH 0-{len(BLOB) - 1}", "PUT"]
    assert server.stored == BLOB


def test_one_that_always_breaks_is_told(blobs: Blobs) -> None:
    with pytest.raises(Unreachable):
        sent(Upload([10, 10, 10]), blobs)


@pytest.mark.parametrize(("code", "also"), [(201, 0), (202, 3), (404, 3), (403, 3)])
def test_a_blob_of_another_repository_is_mounted_where_that_can_be(blobs: Blobs, code: int, also: int) -> None:
    server = Upload([], mounts=code)
    asked = sent(server, blobs, "team/base")
    assert (asked[0], len(asked)) == ("MOUNT", 1 + also)
    assert server.stored == (BLOB if also else b"")
