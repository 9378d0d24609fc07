"""Attacks on the API over https, as somebody on the network tries them: the right Status, and nobody else notices."""

import base64
import json
import os
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from e2e.checks import eventually
from e2e.daemon import Daemon

IDLE = 2000  # connections that ask nothing
PATIENCE = 60.0  # seconds that an answer may take on a slow and busy machine


class Https:
    """The API of one instance as a stranger reaches it."""

    def __init__(self, daemon: Daemon, certificate: str = "") -> None:
        import yaml

        self.daemon = daemon
        config = yaml.safe_load(daemon.orch("kubeconfig", "--user", "probe").expect().out)
        url = urlsplit(config["clusters"][0]["cluster"]["server"])
        self.host, self.port = url.hostname or "", url.port or 0
        authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
        self.context = ssl.create_default_context(cadata=authority)
        self.context.check_hostname = False
        user = config["users"][0]["user"]
        parts = ("client-certificate-data", "client-key-data")
        self.user = b"".join(base64.b64decode(user[part]) for part in parts)
        self.authority = authority

    def presenting(self, pem: bytes) -> ssl.SSLContext:
        """A client with this certificate and key."""
        context = ssl.create_default_context(cadata=self.authority)
        context.check_hostname = False
        with tempfile.NamedTemporaryFile() as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(file.name)
        return context

    def connect(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        plain = socket.create_connection((self.host, self.port), PATIENCE)
        return (context or self.context).wrap_socket(plain, server_hostname=self.host)

    def ask(
        self, head: str, body: bytes = b"", *, context: ssl.SSLContext | None = None, token: str = ""
    ) -> tuple[int, bytes]:
        """(status, the rest) of one request, whose first line is given."""
        lines = [f"{head} HTTP/1.1", "host: x", f"content-length: {len(body)}", "connection: close"]
        lines += [f"authorization: Bearer {token}"] if token else []
        with self.connect(context) as sock:
            sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            data = everything(sock)
        return int(data.split(b" ", 2)[1]), data.partition(b"\r\n\r\n")[2]


def everything(sock: socket.socket) -> bytes:
    data = b""
    with suppress(ConnectionResetError, ssl.SSLError):
        while more := sock.recv(65536):
            data += more
    return data


@pytest.fixture(scope="module")
def https(shared: Daemon) -> Https:
    return Https(shared)


@pytest.fixture
def account(shared: Daemon) -> Iterator[str]:
    """The path of a ServiceAccount."""
    path = "/api/v1/namespaces/default/serviceaccounts"
    shared.request("DELETE", f"{path}/attacked")
    assert shared.request("POST", path, {"metadata": {"name": "attacked"}})[0] == 201
    yield f"{path}/attacked"
    shared.request("DELETE", f"{path}/attacked")


def token_of(daemon: Daemon, account: str, **spec: Any) -> str:
    status, body = daemon.request("POST", f"{account}/token", {"spec": spec})
    assert status == 201, body
    token: str = json.loads(body)["status"]["token"]
    return token


CLOSED = (
    "GET /api", "GET /apis", "GET /openapi/v3", "GET /api/v1/secrets", "GET /api/v1/namespaces/default/pods?watch=1",
    "POST /api/v1/namespaces", "DELETE /api/v1/namespaces/default", "GET /orchestr.dev/v1/system",
    "POST /orchestr.dev/v1/apply?manager=x", "POST /orchestr.dev/v1/stop", "POST /orchestr.dev/v1/kubeconfig",
    "GET /api/v1/namespaces/default/pods/x/exec?command=id", "GET /livez/../api/v1/secrets", "GET //api/v1/secrets",
    "GET /livez%2f..%2fapi", "GET /version/../api", "GET /openid/v1/jwks", "PATCH /version", "GET /metrics",
    "TRACE /api",
)  # fmt: skip


def test_nobody_gets_more_than_health(https: Https) -> None:
    for head in ("GET /livez", "GET /readyz", "GET /version"):
        assert https.ask(head)[0] == 200, head
    for head in CLOSED:
        status, body = https.ask(head)
        harmless = head.startswith(("GET /livez", "GET /version")) and status == 200
        assert status in (400, 401, 404) or harmless, (head, status)
        assert b"Traceback" not in body
        assert b'"items"' not in body


def test_tokens_that_are_none(https: Https, account: str) -> None:
    good = token_of(https.daemon, account)
    assert https.ask("GET /api/v1/pods", token=good)[0] == 403  # known, and without rights
    head, payload, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    root = {**claims, "sub": "system:serviceaccount:kube-system:root"}

    def text(data: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()

    forged = [
        f"{head}.{text(root)}.{signature}",
        f"{text({'alg': 'none'})}.{payload}.",
        f"{text({'alg': 'HS256', 'kid': json.loads(base64.urlsafe_b64decode(head + '=='))['kid']})}.{payload}.AAAA",
        f"{head}.{text({**claims, 'exp': claims['exp'] + 10**6})}.{signature}",
        f"{head}.{payload}",
        f"{head}.{payload}.{signature}x",
        "." * 3,
        "A" * 100_000,
        token_of(https.daemon, account, audiences=["somebody.else"]),
    ]
    for token in forged:
        assert https.ask("GET /api/v1/pods", token=token)[0] in (401, 431), token[:60]
    assert https.daemon.request("DELETE", account)[0] == 200
    assert https.ask("GET /api/v1/pods", token=good)[0] == 401


def forged_certificate(name: str) -> bytes:
    """A certificate for a master, of an authority with the same name as the instance's."""
    authority, key, now = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
        datetime.now(UTC),
    )
    subject = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
        x509.NameAttribute(NameOID.COMMON_NAME, name),
    ]
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "orch-ca")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM) + secret


def test_certificates_that_are_none(https: Https) -> None:
    assert https.ask("GET /api/v1/pods", context=https.presenting(https.user))[0] == 403
    status, body = https.ask("GET /api/v1/pods", context=https.presenting(forged_certificate("root")))
    assert (status, json.loads(body)["reason"]) == (401, "Unauthorized")
    https.daemon.orch("kubeconfig", "--user", "probe", "--revoke").expect()
    assert https.ask("GET /api/v1/pods", context=https.presenting(https.user))[0] == 401


def test_bodies_without_an_end(https: Https, account: str) -> None:
    """What is declared too large is refused at once; two ways to say how long it is are one too many."""
    token = token_of(https.daemon, account)
    path, who = (
        "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nhost: x\r\n",
        f"authorization: Bearer {token}\r\n",
    )
    begin = time.monotonic()
    for lines, codes in (
        (f"{who}content-length: {100 << 20}\r\n", (403, 413)),
        (f"content-length: {100 << 20}\r\n", (401, 413)),
        (f"{who}content-length: 5\r\ntransfer-encoding: chunked\r\n", (400, 403)),
        (f"{who}content-length: 5\r\ncontent-length: 6\r\n", (400,)),
        (f"{who}content-length: -1\r\n", (400,)),
        (f"{who}x: {'y' * 300_000}\r\n", (400, 431)),
    ):
        with https.connect() as sock:
            sock.sendall(f"{path}{lines}\r\n".encode())
            data = sock.recv(65536)
            assert data, lines[:60]
            assert int(data.split(b" ", 2)[1]) in codes, (lines[:90], data[:200])
    assert time.monotonic() - begin < PATIENCE


def test_two_thousand_idle_connections_and_slow_requests(https: Https, account: str) -> None:
    """Half are silent, half trickle heads and bodies. Others are served, and what is left over goes."""
    token = token_of(https.daemon, account)
    before = len(os.listdir(f"/proc/{https.daemon.daemon_pid}/fd"))
    begun = [
        b"",
        b"GET /api/v1/pods HTTP/1.1\r\nhost: x\r\n",
        b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n"
        + f"authorization: Bearer {token}\r\n\r\n".encode(),
        b"",
    ]

    def open_one(number: int) -> ssl.SSLSocket:
        sock = https.connect()
        sock.sendall(begun[number % len(begun)])
        return sock

    with ExitStack() as stack:
        with ThreadPoolExecutor(8) as pool:
            held = list(pool.map(open_one, range(IDLE)))
        for sock in held:
            stack.callback(sock.close)
        assert len(os.listdir(f"/proc/{https.daemon.daemon_pid}/fd")) > before + IDLE // 2
        times = []
        for _ in range(20):
            begin = time.monotonic()
            assert https.ask("GET /api/v1/pods", token=token)[0] == 403
            assert https.daemon.request("GET", "/api/v1/namespaces/default/pods")[0] == 200
            times.append(time.monotonic() - begin)
        assert sorted(times)[10] < PATIENCE / 10, times
        made = {"metadata": {"name": "meanwhile"}, "data": {}}
        assert https.daemon.request("POST", "/api/v1/namespaces/default/configmaps", made)[0] == 201
        https.daemon.request("DELETE", "/api/v1/namespaces/default/configmaps/meanwhile")
    fds = Path(f"/proc/{https.daemon.daemon_pid}/fd")
    eventually(lambda: len(os.listdir(fds)) < before + 100, within=60, what="the connections to be closed")


def test_acting_as_others_needs_a_right(https: Https, account: str) -> None:
    token = token_of(https.daemon, account)
    for header in ("impersonate-user: system:admin", "impersonate-group: system:masters"):
        lines = f"GET /api/v1/pods HTTP/1.1\r\nhost: x\r\n{header}\r\nconnection: close\r\n"
        for who, codes in ((f"authorization: Bearer {token}\r\n", (400, 403)), ("", (401,))):
            with https.connect() as sock:
                sock.sendall(f"{lines}{who}\r\n".encode())
                assert int(everything(sock).split(b" ", 2)[1]) in codes, (header, who[:20])
