"""Client certificates: TLS proves that the client holds the key; whose it is, and whether it counts, is decided here.

The library would end the handshake for a certificate that it cannot verify, and its client would hear of a broken
connection. Kubernetes answers 401, so here the handshake takes any, and each request looks at authority, time and
what was taken back.
"""

import ctypes
import ssl
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from orchestr.server import pki
from orchestr.server.auth import Unauthorized
from orchestr.server.user import AUTHENTICATED, User

VERIFY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


TAKEN = VERIFY(lambda store, argument: 1)


def take_any(context: ssl.SSLContext) -> bool:
    """Lets a handshake succeed with any certificate whose key the client holds; SSL_CTX_set_cert_verify_callback(3).

    False where the interpreter does not let its TLS library be reached: there foreign certificates end the handshake.
    """
    try:
        import _ssl

        set_callback = ctypes.CDLL(_ssl.__file__).SSL_CTX_set_cert_verify_callback
    except (ImportError, AttributeError, OSError):
        return False
    set_callback.argtypes, set_callback.restype = (ctypes.c_void_p, VERIFY, ctypes.c_void_p), None
    # PySSLContext: the object's head, then the SSL_CTX
    set_callback(ctypes.c_void_p.from_address(id(context) + object.__basicsize__), TAKEN, None)
    return True


class Certificate(NamedTuple):
    name: str
    groups: tuple[str, ...]
    issued: datetime
    begin: datetime
    end: datetime


@lru_cache(maxsize=1024)
def read(der: bytes, authority: x509.Certificate) -> Certificate | None:
    """What a client's certificate of this authority says; None for any other."""
    try:
        found = x509.load_der_x509_certificate(der)
        found.verify_directly_issued_by(authority)
        uses = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        name, groups = pki.subject_of(found)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return None
    if ExtendedKeyUsageOID.CLIENT_AUTH not in uses:
        return None
    begin = found.not_valid_before_utc
    return Certificate(name, groups, begin + pki.SKEW, begin, found.not_valid_after_utc)


def user(der: bytes, authority: x509.Certificate, now: datetime, revoked: Mapping[str, datetime]) -> User:
    """Raises Unauthorized for a certificate of another authority, out of its time, or taken back."""
    found = read(der, authority)
    if found is None or not found.begin <= now <= found.end:
        raise Unauthorized
    if found.name in revoked and found.issued <= revoked[found.name]:
        raise Unauthorized
    groups = (*found.groups, *(() if AUTHENTICATED in found.groups else (AUTHENTICATED,)))
    return User(found.name, groups=groups)
