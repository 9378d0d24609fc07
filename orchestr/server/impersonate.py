"""Acting as somebody else: the Impersonate-* headers, each of which needs the right `impersonate`."""

from collections.abc import Callable, Mapping
from urllib.parse import unquote

from orchestr.api.errors import BadRequest
from orchestr.server.attributes import Attributes
from orchestr.server.user import (
    ANONYMOUS,
    AUTHENTICATED,
    SERVICE_ACCOUNTS,
    UNAUTHENTICATED,
    User,
    split_service_account,
)

AUTHENTICATION = "authentication.k8s.io"
EXTRA = "impersonate-extra-"


def impersonated(headers: Mapping[str, list[str]], may: Callable[[Attributes], None]) -> User | None:
    """The user whom the headers name (lower case name -> values); None without any. Raises what `may` raises."""
    name = next(iter(headers.get("impersonate-user", [])), "")
    groups, uid = headers.get("impersonate-group", []), next(iter(headers.get("impersonate-uid", [])), "")
    extra = {unquote(key.removeprefix(EXTRA)): values for key, values in headers.items() if key.startswith(EXTRA)}
    if not name:
        if groups or uid or extra:
            raise BadRequest("cannot impersonate: requested without a user (give Impersonate-User)")
        return None
    account = split_service_account(name)
    if account:
        may(Attributes("impersonate", "", "v1", "serviceaccounts", namespace=account[0], name=account[1]))
    else:
        may(Attributes("impersonate", "", "v1", "users", name=name))
    for group in groups:
        may(Attributes("impersonate", "", "v1", "groups", name=group))
    if uid:
        may(Attributes("impersonate", AUTHENTICATION, "v1", "uids", name=uid))
    for key, values in extra.items():
        for value in values:
            may(Attributes("impersonate", AUTHENTICATION, "v1", "userextras", key, name=value))
    return User(name, uid, _groups(name, account, groups), {key: tuple(values) for key, values in extra.items()})


def _groups(name: str, account: tuple[str, str] | None, given: list[str]) -> tuple[str, ...]:
    if account and not given:
        given = [SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{account[0]}"]
    always = UNAUTHENTICATED if name == ANONYMOUS.name else AUTHENTICATED
    return (*given, *(() if always in given else (always,)))
