"""The instance's own certificate authority, its serving certificate and the client certificates of users.

Files in DIRECTORY, all 0600, each replaced as a whole:
    ca.crt ca.key          the authority; renewed with the same key, so that what it signed stays good
    server.crt server.key  what https shows; made anew when it is two thirds old, or when its names change
    sa.key                 signs the tokens of ServiceAccounts (tokens.py)
    revoked.json           user -> seconds since the epoch; certificates of that user from before then do not count
Keys are ECDSA on P-256. Times are arguments.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = timedelta(days=3650)
LIFE = timedelta(days=365)  # of a serving certificate, and of a user's unless asked otherwise
SKEW = timedelta(minutes=5)  # clocks differ: a certificate is good from a little before it was made
NAME_LIMIT = 64  # X.520 ub-common-name

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return key_pem(self.key)

    def stale(self, now: datetime) -> bool:
        """Whether two thirds of its life are over."""
        begin, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        return now < begin or now > begin + (end - begin) * 2 / 3


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_key(data: bytes) -> Key:
    """ValueError for anything but an ECDSA key without a password."""
    key = serialization.load_pem_private_key(data, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an ECDSA key")
    return key


def authority(now: datetime, key: Key | None = None) -> Pair:
    """A self-signed authority; with the key of an older one its renewal."""
    key = key or new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "orch-ca")])
    usage = _usage(signs=True)
    made = (
        _builder(name, name, key, now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Pair(made.sign(key, hashes.SHA256()), key)


def serving(ca: Pair, names: Iterable[str], now: datetime) -> Pair:
    """A server's certificate for DNS names and addresses."""
    key = new_key()
    alternatives = x509.SubjectAlternativeName([_general(name) for name in sorted(set(names))])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "orch")])
    made = _leaf(ca, subject, key, now, LIFE, ExtendedKeyUsageOID.SERVER_AUTH)
    return Pair(made.add_extension(alternatives, critical=False).sign(ca.key, hashes.SHA256()), key)


def client(ca: Pair, user: str, groups: Iterable[str], now: datetime, life: timedelta = LIFE) -> Pair:
    """A user's certificate: CN is the user, each O a group. ValueError for a name that X.509 cannot hold."""
    key = new_key()
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])
    made = _leaf(ca, subject, key, now, life, ExtendedKeyUsageOID.CLIENT_AUTH)
    return Pair(made.sign(ca.key, hashes.SHA256()), key)


def names_in(certificate: x509.Certificate) -> set[str]:
    """The DNS names and addresses that a certificate is for."""
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(each.value) for each in found}


def subject_of(certificate: x509.Certificate) -> tuple[str, tuple[str, ...]]:
    """(user, groups) of a client's certificate. ValueError when it names no user."""
    subject = certificate.subject
    names = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) != 1 or not names[0]:
        raise ValueError("the certificate's subject has no common name")
    groups = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return names[0], tuple(str(each.value) for each in groups)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
    )


def _leaf(
    ca: Pair, subject: x509.Name, key: Key, now: datetime, life: timedelta, use: x509.ObjectIdentifier
) -> x509.CertificateBuilder:
    issuer = ca.certificate.subject
    life = min(life, ca.certificate.not_valid_after_utc - now)
    own = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    return (
        _builder(subject, issuer, key, now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .add_extension(own, critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


class Directory:
    """The files. OSError and ValueError of what cannot be read are the caller's to word."""

    def __init__(self, path: str) -> None:
        self.path = path
        os.makedirs(path, mode=0o700, exist_ok=True)

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def authority(self, now: datetime) -> Pair:
        """The authority, made or renewed where that is due."""
        found = self._pair("ca")
        if found is None or found.stale(now):
            found = authority(now, found.key if found else None)
            self._write("ca", found)
        return found

    def serving(self, ca: Pair, names: Iterable[str], now: datetime) -> Pair:
        """The serving certificate for exactly these names, made anew where that is due."""
        wanted, found = set(names), self._pair("server")
        if found is None or found.stale(now) or names_in(found.certificate) != wanted or not _signed(ca, found):
            found = serving(ca, wanted, now)
            self._write("server", found)
        return found

    def signing_key(self) -> Key:
        """The key of ServiceAccount tokens, made when it is not there."""
        data = self._read("sa.key")
        if data is not None:
            return load_key(data)
        key = new_key()
        self._put("sa.key", key_pem(key))
        return key

    def revoked(self) -> dict[str, datetime]:
        """Until when certificates were taken back, by user."""
        data = json.loads(self._read("revoked.json") or b"{}")
        return {str(name): datetime.fromtimestamp(int(at), UTC) for name, at in data.items()}

    def revoke(self, revoked: Mapping[str, datetime]) -> None:
        self._put("revoked.json", json.dumps({name: int(at.timestamp()) for name, at in revoked.items()}).encode())

    def _pair(self, name: str) -> Pair | None:
        certificate, key = self._read(f"{name}.crt"), self._read(f"{name}.key")
        if certificate is None or key is None:
            return None
        loaded = Pair(x509.load_pem_x509_certificate(certificate), load_key(key))
        same = loaded.certificate.public_key() == loaded.key.public_key()
        return loaded if same else None  # ended between the two files

    def _write(self, name: str, pair: Pair) -> None:
        self._put(f"{name}.key", pair.key_pem)
        self._put(f"{name}.crt", pair.pem)

    def _read(self, name: str) -> bytes | None:
        try:
            with open(self.file(name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def _put(self, name: str, data: bytes) -> None:
        place = self.file(name) + ".new"
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(place, self.file(name))


def _signed(ca: Pair, pair: Pair) -> bool:
    try:
        pair.certificate.verify_directly_issued_by(ca.certificate)
    except Exception:  # InvalidSignature, or ValueError for another issuer
        return False
    return True


def utc_now() -> datetime:
    return datetime.now(UTC)
