"""Who asks: what authentication found out, and what authorisation and admission go by."""

from collections.abc import Mapping
from typing import NamedTuple

MASTERS = "system:masters"  # may do everything
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
SERVICE_ACCOUNTS = "system:serviceaccounts"
SERVICE_ACCOUNT = "system:serviceaccount:"  # then NAMESPACE:NAME


class User(NamedTuple):
    """Kubernetes' user.Info."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = {}

    @property
    def unrestricted(self) -> bool:
        return MASTERS in self.groups

    def wire(self) -> dict[str, object]:
        """authentication.k8s.io/v1 UserInfo."""
        found: dict[str, object] = {"username": self.name, "uid": self.uid, "groups": list(self.groups)}
        found["extra"] = {key: list(values) for key, values in self.extra.items()}
        return {key: value for key, value in found.items() if value}


ANONYMOUS = User("system:anonymous", groups=(UNAUTHENTICATED,))


def service_account_user(
    namespace: str, name: str, uid: str = "", extra: Mapping[str, tuple[str, ...]] | None = None
) -> User:
    groups = (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}", AUTHENTICATED)
    return User(f"{SERVICE_ACCOUNT}{namespace}:{name}", uid, groups, extra or {})


def split_service_account(username: str) -> tuple[str, str] | None:
    """(namespace, name) of a ServiceAccount's user name."""
    namespace, colon, name = username.removeprefix(SERVICE_ACCOUNT).partition(":")
    good = username.startswith(SERVICE_ACCOUNT) and colon and namespace and name and ":" not in name
    return (namespace, name) if good else None
