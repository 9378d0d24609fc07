"""The way in: who asks, whether they may, and as whom else they may act. One object for the daemon."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from orchestr.server.answer import Scope
from orchestr.server.attributes import Attributes, attributes
from orchestr.server.auth import Unauthorized, authenticate
from orchestr.server.authorize import Authorizer, InTransaction, Published
from orchestr.server.escalation import guard
from orchestr.server.impersonate import impersonated
from orchestr.server.tls import Tls
from orchestr.server.tokens import ISSUER, Issuer, audiences_of, user_of
from orchestr.server.turns import Turns
from orchestr.server.user import ANONYMOUS, User
from orchestr.store.guard import GUARD
from orchestr.store.local import LocalCluster
from orchestr.store.transaction import Tx

APPLY = ("create", "/orchestr.dev/v1/apply")  # every item is looked at there
STREAMS = ("exec", "attach", "portforward")


class Access:
    def __init__(
        self,
        cluster: LocalCluster,
        tls: Tls | None = None,
        urls: tuple[str, ...] = (),
        issuer: Issuer | None = None,
    ) -> None:
        """`urls`: where https listens, the one for kubeconfig files first. Without an issuer no token is good."""
        self.cluster, self.tls, self.urls, self.issuer = cluster, tls, urls, issuer
        self.authorizer = Authorizer(Published(cluster))
        self.turns = Turns()
        cluster.decide = decide

    def admit(self, scope: Scope) -> User:
        """The user of a request that may be made; also in scope["user"], as what it wants is in
        scope["wanted"]. Unauthorized, Forbidden, BadRequest.

        What the request then writes is checked for what it grants (escalation.py).
        """
        user = self._acting(scope, authenticate(scope, self.token_user, self.certificate_user))
        scope["user"] = user
        GUARD.set(None if user.unrestricted else partial(guard, user))
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        wanted = scope["wanted"] = attributes(scope.get("method", "GET"), scope["path"], query)
        if (wanted.verb, wanted.path) != APPLY or user.name == ANONYMOUS.name:
            self.authorizer.authorize(user, wanted)
        if scope["type"] == "websocket" and wanted.sub in STREAMS:  # a GET that does what a POST does
            self.authorizer.authorize(user, wanted._replace(verb="create"))
        return user

    def _acting(self, scope: Scope, user: User) -> User:
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            if name.startswith(b"impersonate-"):
                headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        if not headers:
            return user
        if user.name == ANONYMOUS.name:
            raise Unauthorized
        return impersonated(headers, partial(self.authorizer.authorize, user)) or user

    def require(self, user: User, wanted: Attributes) -> None:
        """Forbidden unless the user may."""
        self.authorizer.authorize(user, wanted)

    def token_user(self, token: str) -> User:
        """The user of a bearer token. Unauthorized."""
        return self.token(token)[0]

    def certificate_user(self, der: bytes) -> User:
        """The user of a client's certificate. Unauthorized."""
        if self.tls is None:
            raise Unauthorized
        return self.tls.user(der)

    def token(self, token: str, audiences: Sequence[str] = ()) -> tuple[User, tuple[str, ...]]:
        """The user of a token and for which of the audiences (by default the server itself) it is. Unauthorized."""
        if self.issuer is None:
            raise Unauthorized
        claims = self.issuer.claims(token)
        meant = tuple(each for each in audiences or (ISSUER,) if each in audiences_of(claims))
        if not meant:
            raise Unauthorized
        return user_of(claims, self.authorizer.objects), meant


def decide(tx: Tx, info: Mapping[str, Any], given: Mapping[str, str]) -> str | None:
    """What the variable `authorizer` of expressions asks: why the user may, inside of a transaction."""
    user = User(str(info.get("username", "")), groups=tuple(info.get("groups") or ()))
    wanted = Attributes(
        given.get("verb", ""),
        given.get("group", ""),
        resource=given.get("resource", ""),
        sub=given.get("subresource", ""),
        namespace=given.get("namespace", ""),
        name=given.get("name", ""),
        path=given.get("path", ""),
    )
    return Authorizer(InTransaction(tx)).reason(user, wanted)
