"""/orchestr.dev/v1/kubeconfig, for whoever has the unix socket: POST makes a kubeconfig with a client certificate,
DELETE takes all certificates of a user back."""

from base64 import b64encode
from datetime import timedelta
from typing import Any

import trio
from starlette.requests import Request
from starlette.responses import Response

from orchestr.api.base import timestamp
from orchestr.api.errors import BadRequest, Forbidden, Unavailable
from orchestr.server import pki
from orchestr.server.access import Access
from orchestr.server.answer import json_data, success
from orchestr.server.body import json_object
from orchestr.server.user import MASTERS

ADMIN = "kubernetes-admin"
KNOWN = {"user", "groups", "namespace", "server", "expirationSeconds", "cluster"}
LIFE_LIMIT = 10 * 365 * 86400  # seconds


async def make(access: Access, request: Request) -> Response:
    """Body {"user", "groups", "namespace", "server", "expirationSeconds", "cluster"}, each optional. Without a user it
    is the administrator's."""
    if request.scope["state"].get("peer") is None:
        raise Forbidden("cannot make a kubeconfig: only over the unix socket (run orch kubeconfig on the machine)")
    given = await json_object(request)
    if access.tls is None or not access.urls:
        raise Unavailable("cannot make a kubeconfig: the daemon does not listen with https (start it with --listen)")
    if unknown := sorted(set(given) - KNOWN):
        raise BadRequest(f"cannot make a kubeconfig: unknown field {unknown[0]!r} (give {', '.join(sorted(KNOWN))})")
    user, groups = _text(given, "user"), given.get("groups") or []
    if not isinstance(groups, list) or not all(isinstance(each, str) and each for each in groups):
        raise BadRequest("cannot make a kubeconfig: groups is no list of names (send a list)")
    life = _life(given.get("expirationSeconds"))
    subject = (user or ADMIN), (groups if user or groups else [MASTERS])
    ca = access.tls.ca
    try:
        pair = await trio.to_thread.run_sync(access.tls.issue, *subject, life)
    except ValueError as error:
        raise BadRequest(f"cannot make a kubeconfig: {error} (use a shorter name)") from None
    server = _text(given, "server") or access.urls[0]
    return json_data(config(pair, ca, server, subject[0], _text(given, "namespace"), _text(given, "cluster") or "orch"))


async def revoke(access: Access, request: Request) -> Response:
    """?user=NAME, without it the administrator: certificates issued until now do not count any more."""
    if request.scope["state"].get("peer") is None:
        raise Forbidden("cannot revoke certificates: only over the unix socket (run orch kubeconfig on the machine)")
    if access.tls is None:
        raise Unavailable("cannot revoke certificates: the daemon does not listen with https (there are none)")
    user = request.query_params.get("user") or ADMIN
    at = await trio.to_thread.run_sync(access.tls.revoke, user)
    return success({"name": user, "kind": "certificates", "issuedUntil": timestamp(at)})


def config(pair: pki.Pair, ca: pki.Pair, server: str, user: str, namespace: str, cluster: str) -> dict[str, Any]:
    """A kubeconfig, v1 Config of client-go. Pure."""
    credentials = {"client-certificate-data": _base64(pair.pem), "client-key-data": _base64(pair.key_pem)}
    context = {"cluster": cluster, "user": user, **({"namespace": namespace} if namespace else {})}
    name = f"{user}@{cluster}"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": cluster, "cluster": {"server": server, "certificate-authority-data": _base64(ca.pem)}},
        ],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": name, "context": context}],
        "current-context": name,
    }


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _text(given: dict[str, Any], field: str) -> str:
    value = given.get(field) or ""
    if not isinstance(value, str):
        raise BadRequest(f"cannot make a kubeconfig: {field} is no text (send a string)")
    return value


def _life(seconds: Any) -> timedelta:
    if seconds is None:
        return pki.LIFE
    if type(seconds) is not int or not 600 <= seconds <= LIFE_LIMIT:
        raise BadRequest(f"cannot make a kubeconfig: expirationSeconds must be a number from 600 to {LIFE_LIMIT}")
    return timedelta(seconds=seconds)
