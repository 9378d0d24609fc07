"""Registries on loopback: Debian's own, plain, or with TLS and a login; each with a data directory of its own."""

import ipaddress
import json
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from e2e.checks import eventually
from e2e.conftest import Host
from e2e.conftest import run as started
from e2e.daemon import Daemon
from e2e.registry.binary import registry

USER, PASSWORD = "worker", "s3cret:with colon"


@dataclass(frozen=True)
class Running:
    host: str  # 127.0.0.1:PORT
    log: Path
    ca: Path | None = None


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def run(folder: Path, *, tls: bool = False, login: bool = False) -> Iterator[Running]:
    port = free_port()
    log, ca = folder / "log", folder / "ca.pem"
    settings: dict[str, object] = {
        "version": "0.1",
        "log": {"accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", **({"tls": certificate(folder)} if tls else {})},
    }
    if login:
        (folder / "htpasswd").write_text(f"{USER}:{bcrypt(PASSWORD)}\n")
        settings["auth"] = {"htpasswd": {"realm": "registry", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(settings))
    with log.open("wb") as out:
        process = subprocess.Popen(
            [registry(), "serve", folder / "config.yml"], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
            env={key: value for key, value in os.environ.items() if "TRACE" not in key},
        )  # fmt: skip
    try:
        eventually(lambda: listens(port), what="the registry")
        yield Running(f"127.0.0.1:{port}", log, ca if tls else None)
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def bcrypt(password: str) -> str:
    """By crypt(3), which perl has everywhere."""
    words = ["perl", "-e", "print crypt($ARGV[0], '$2y$05$abcdefghijklmnopqrstuu')", password]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def certificate(folder: Path) -> dict[str, str]:
    """For 127.0.0.1, by an authority of its own, whose certificate lies in ca.pem."""
    now, name = datetime.now(UTC), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test registry")])
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return {"certificate": str(folder / "ca.pem"), "key": str(folder / "key.pem")}


@pytest.fixture(scope="module")
def shared(host: Host, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon whose registries a test may change."""
    folder = tmp_path_factory.mktemp("registries")
    shutil.copy(Path(__file__).parents[1] / "registries.yaml", folder)
    yield from started(host, request, registries=folder / "registries.yaml")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from run(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With TLS and a login."""
    yield from run(tmp_path_factory.mktemp("closed"), tls=True, login=True)
