"""Tokens of ServiceAccounts: JWTs (RFC 7519) signed with the instance's own key, by ES256 (RFC 7518) and nothing else.

A token is good while its time lasts and while its account, and the object that it is bound to, are the same ones.
"""

import hashlib
import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from orchestr.api.base import Key, KubeObject
from orchestr.api.core import Node, Pod, Secret
from orchestr.api.serviceaccount import ServiceAccount
from orchestr.server.auth import Unauthorized
from orchestr.server.authorize import Objects
from orchestr.server.pki import Key as SigningKey
from orchestr.server.user import User, service_account_user

ISSUER = "https://kubernetes.default.svc.cluster.local"
CLAIM = "kubernetes.io"
BOUND: Mapping[str, type[KubeObject]] = {"pod": Pod, "secret": Secret, "node": Node}
EXTRA = "authentication.kubernetes.io/"
SIZE = 32  # bytes of a number of P-256
LEEWAY = 5  # seconds; both clocks are ours
LENGTH_LIMIT = 16 * 1024

Claims = dict[str, Any]


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    """Strict: ValueError for anything that `_encode` does not make."""
    data = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _encode(data) != text:
        raise ValueError("not canonical")
    return data


def _json(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


class Issuer:
    """Signs and verifies."""

    def __init__(self, key: SigningKey, clock: Callable[[], float], uid: Callable[[], str]) -> None:
        self._key, self._clock, self._uid = key, clock, uid
        self._public = key.public_key()
        der = self._public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.key_id = _encode(hashlib.sha256(der).digest())

    def jwks(self) -> dict[str, Any]:
        """RFC 7517: the public key."""
        numbers = self._public.public_numbers()
        point = {axis: _encode(value.to_bytes(SIZE, "big")) for axis, value in (("x", numbers.x), ("y", numbers.y))}
        return {"keys": [{"use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256", **point}]}

    def issue(
        self,
        account: ServiceAccount,
        audiences: Sequence[str],
        seconds: int,
        bound: Sequence[KubeObject] = (),
    ) -> tuple[str, int]:
        """A token for the account and the time at which it expires (seconds since the epoch)."""
        now, namespace = int(self._clock()), account.metadata.namespace or ""
        named = {kind: each for kind, cls in BOUND.items() for each in bound if isinstance(each, cls)}
        claims = {
            "aud": list(audiences) or [ISSUER],
            "exp": now + seconds,
            "iat": now,
            "iss": ISSUER,
            "jti": self._uid(),
            CLAIM: {
                "namespace": namespace,
                "serviceaccount": _reference(account),
                **{kind: _reference(each) for kind, each in named.items()},
            },
            "nbf": now,
            "sub": f"system:serviceaccount:{namespace}:{account.metadata.name}",
        }
        return self.sign(claims), now + seconds

    def sign(self, claims: Claims) -> str:
        head = _encode(_json({"alg": "ES256", "kid": self.key_id}))
        text = f"{head}.{_encode(_json(claims))}"
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_encode(r.to_bytes(SIZE, 'big') + s.to_bytes(SIZE, 'big'))}"

    def claims(self, token: str) -> Claims:
        """What a token of ours says that is good now. Unauthorized."""
        try:
            claims = self._verified(token)
            now = self._clock()
            good = claims["iss"] == ISSUER and claims["nbf"] - LEEWAY <= now < claims["exp"]
        except (ValueError, TypeError, KeyError, InvalidSignature, RecursionError):
            raise Unauthorized from None
        if not good:
            raise Unauthorized
        return claims

    def _verified(self, token: str) -> Claims:
        if len(token) > LENGTH_LIMIT:
            raise ValueError("too long")
        head, payload, signature = token.split(".")
        header, raw = json.loads(_decode(head)), _decode(signature)
        if (
            not isinstance(header, dict)
            or header.get("alg") != "ES256"
            or header.get("kid") != self.key_id
            or len(raw) != 2 * SIZE
        ):
            raise ValueError("another algorithm or key")
        r, s = int.from_bytes(raw[:SIZE], "big"), int.from_bytes(raw[SIZE:], "big")
        self._public.verify(encode_dss_signature(r, s), f"{head}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
        claims = json.loads(_decode(payload))
        if not isinstance(claims, dict):
            raise ValueError("no claims")
        return claims


def _reference(obj: KubeObject) -> dict[str, str]:
    return {"name": obj.metadata.name, "uid": obj.metadata.uid or ""}


def audiences_of(claims: Claims) -> tuple[str, ...]:
    given = claims.get("aud") or ()
    return (given,) if isinstance(given, str) else tuple(str(each) for each in given)


def user_of(claims: Claims, objects: Objects) -> User:
    """The account's user. Unauthorized when the account, or what the token is bound to, is gone or another."""
    try:
        own = claims[CLAIM]
        namespace, account = str(own["namespace"]), own["serviceaccount"]
        _check(objects.one(ServiceAccount, Key(namespace, account["name"])), account)
        for kind, cls in BOUND.items():
            if (ref := own.get(kind)) is not None and (kind != "node" or len(own) == 3):
                _check(objects.one(cls, Key(namespace if cls.NAMESPACED else "", ref["name"])), ref)
    except (KeyError, TypeError, AttributeError):
        raise Unauthorized from None
    extra = {f"{EXTRA}credential-id": (f"JTI={claims.get('jti', '')}",)}
    for kind in BOUND.keys() & own.keys() - {"secret"}:
        extra |= {f"{EXTRA}{kind}-{field}": (str(own[kind][field]),) for field in ("name", "uid")}
    return service_account_user(namespace, account["name"], account["uid"], extra)


def _check(found: KubeObject | None, reference: Mapping[str, str]) -> None:
    if found is None or found.metadata.uid != reference["uid"]:
        raise Unauthorized
