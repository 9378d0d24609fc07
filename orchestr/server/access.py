"""The way in: who asks, whether they may, and as whom else they may act. One object for the daemon."""

from urllib.parse import parse_qs

from orchestr.server.answer import Scope
from orchestr.server.attributes import attributes
from orchestr.server.auth import Unauthorized, authenticate
from orchestr.server.authorize import Authorizer
from orchestr.server.tls import Tls
from orchestr.server.user import User
from orchestr.store.local import LocalCluster


class Access:
    def __init__(self, cluster: LocalCluster, tls: Tls | None = None, urls: tuple[str, ...] = ()) -> None:
        """`urls`: where https listens, the one for kubeconfig files first."""
        self.cluster, self.tls, self.urls = cluster, tls, urls
        self.authorizer = Authorizer()

    def admit(self, scope: Scope) -> User:
        """The user of a request that may be made; also put into the scope's state. Unauthorized, Forbidden."""
        user = authenticate(scope, self.token_user)
        scope["state"]["user"] = user
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        self.authorizer.authorize(user, attributes(scope.get("method", "GET"), scope["path"], query))
        return user

    def token_user(self, token: str) -> User:
        """The user of a bearer token. Unauthorized."""
        raise Unauthorized
