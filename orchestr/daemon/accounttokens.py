"""Secrets of type kubernetes.io/service-account-token: a token of an account that lasts as long as the Secret does.

Kubernetes' older way: a Secret that names an account is filled, and goes with the account.
"""

from base64 import b64encode
from collections.abc import Sequence

from orchestr.api.base import Key, KubeObject
from orchestr.api.config import ACCOUNT_NAME, ACCOUNT_TOKEN, ACCOUNT_UID
from orchestr.api.core import Secret
from orchestr.api.serviceaccount import ServiceAccount
from orchestr.engine import By, ControllerCluster, Index, Related, Watches
from orchestr.server.tls import Tls
from orchestr.server.tokens import Issuer

LIFE = 100 * 365 * 86400  # seconds: until the Secret goes
FIELDS = ("ca.crt", "namespace", "token")


def _account(secret: Secret) -> tuple[str, ...]:
    name = secret.metadata.annotations.get(ACCOUNT_NAME, "")
    return (f"{secret.metadata.namespace}/{name}",) if secret.type == ACCOUNT_TOKEN and name else ()


def _secrets(account: ServiceAccount, index: Index) -> Sequence[Key]:
    return [each.key for each in index.by(Secret, "account", str(account.key))]


class AccountTokens:
    """A controller of the daemon's own: only it can sign."""

    WATCHES = Watches(Secret, related=(Related(ServiceAccount, _secrets),), indexes=(By(Secret, "account", _account),))

    def __init__(self, issuer: Issuer, tls: Tls) -> None:
        self._issuer, self._tls = issuer, tls

    async def reconcile(self, cluster: ControllerCluster, key: Key) -> None:
        secret = await cluster.get(Secret, key)
        if secret is None or secret.metadata.deleting or not _account(secret):
            return
        notes = secret.metadata.annotations
        account = await cluster.get(ServiceAccount, Key(key.namespace, notes[ACCOUNT_NAME]))
        if account is None or notes.get(ACCOUNT_UID, account.metadata.uid) != account.metadata.uid:
            await cluster.delete(secret)
            return
        lacking = [field for field in FIELDS if not secret.data.get(field)]
        if not lacking and notes.get(ACCOUNT_UID):
            return
        content = {name: secret.data[name] for name in secret.data}
        content |= {field: self._content(field, account, secret) for field in lacking}
        metadata = secret.metadata.but(annotations={**notes, ACCOUNT_UID: account.metadata.uid or ""})
        await cluster.update(secret.but(metadata=metadata, data=content))

    def _content(self, field: str, account: ServiceAccount, secret: KubeObject) -> str:
        if field == "ca.crt":
            value = self._tls.ca_pem
        elif field == "namespace":
            value = (account.metadata.namespace or "").encode()
        else:
            value = self._issuer.issue(account, (), LIFE, (secret,))[0].encode()
        return b64encode(value).decode()
