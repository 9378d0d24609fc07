"""A webhook server over TLS in a thread, and the configurations that point to it."""

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Respond = Callable[[dict[str, Any]], dict[str, Any]]  # the request of a review -> the response, less its uid


class Server:
    def __init__(self, port: int, bundle: str) -> None:
        self.port, self.bundle = port, bundle
        self.respond: Respond = lambda request: {"allowed": True}
        self.asked: list[dict[str, Any]] = []
        self.hold = threading.Event()  # cleared: answers wait
        self.hold.set()
        self.arrived = threading.Event()

    def answer(self, review: dict[str, Any]) -> dict[str, Any]:
        request = review["request"]
        self.asked.append(request)
        self.arrived.set()
        self.hold.wait(20)
        response = {"uid": request["uid"], **self.respond(request)}
        return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}

    def hook(self, name: str = "check.example.org", **fields: Any) -> dict[str, Any]:
        rule = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
        return {
            "name": name,
            "clientConfig": {"url": f"https://127.0.0.1:{self.port}/{name}", "caBundle": self.bundle},
            "rules": [rule],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            **fields,
        }


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    text = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": text}


def configuration(kind: str, name: str, *hooks: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": list(hooks),
    }


def path(kind: str) -> str:
    return f"/apis/admissionregistration.k8s.io/v1/{kind.lower()}webhookconfigurations"


@contextmanager
def server(directory: Path) -> Iterator[Server]:
    bundle, files = certificate(directory)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["content-length"])))
            data = json.dumps(found.answer(review)).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files)
    http.socket = context.wrap_socket(http.socket, server_side=True)
    found = Server(http.server_address[1], bundle)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.hold.set()
        http.shutdown()
        http.server_close()
        thread.join()


def certificate(directory: Path) -> tuple[str, str]:
    """(CA bundle in base64, file with key and certificate) of a certificate that signs itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("hook.default.svc")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(names, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = directory / "hook.pem"
    file.write_bytes(secret + pem)
    return base64.b64encode(pem).decode(), str(file)
