"""POST serviceaccounts/NAME/token: a token for an account, for a time, perhaps bound to a pod or a Secret."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from orchestr.api.base import Key, KubeObject
from orchestr.api.core import Node, Pod
from orchestr.api.errors import BadRequest, Cause, Conflict, Invalid, Unavailable
from orchestr.api.reviews import BoundObjectReference, TokenRequest, TokenRequestStatus
from orchestr.api.serviceaccount import ServiceAccount
from orchestr.server.access import Access
from orchestr.server.answer import json_data
from orchestr.server.body import as_object, document
from orchestr.server.reviews import decoded
from orchestr.server.tokens import BOUND, ISSUER
from orchestr.store.refusals import not_found

DEFAULT, LEAST, MOST = 3600, 600, 1 << 32  # seconds


async def answer(access: Access, request: Request, namespace: str, name: str) -> Response:
    account = access.authorizer.objects.one(ServiceAccount, Key(namespace, name))
    if account is None:
        raise not_found(ServiceAccount, name)
    if access.issuer is None:
        raise Unavailable("cannot make a token: the daemon has no key for them (start it with https)")
    data, _ = await document(request)
    wanted = decoded(TokenRequest, {"spec": {}, **as_object(data)})
    assert isinstance(wanted, TokenRequest)
    seconds = _seconds(wanted)
    bound = _bound(access, account, wanted.spec.bound_object_ref) if wanted.spec.bound_object_ref else ()
    token, expires = access.issuer.issue(account, wanted.spec.audiences, seconds, bound)
    status = TokenRequestStatus(token=token, expiration_timestamp=datetime.fromtimestamp(expires, UTC))
    spec = wanted.spec.but(expiration_seconds=seconds, audiences=wanted.spec.audiences or (ISSUER,))
    metadata = wanted.metadata.but(name=name, namespace=namespace)
    return json_data(wanted.but(metadata=metadata, spec=spec, status=status).wire(), 201)


def _seconds(wanted: TokenRequest) -> int:
    given = DEFAULT if wanted.spec.expiration_seconds is None else wanted.spec.expiration_seconds
    why = "may not specify a duration less than 10 minutes" if given < LEAST else ""
    why = "may not specify a duration larger than 2^32 seconds" if given > MOST else why
    if why:
        cause = Cause("spec.expirationSeconds", f"Invalid value: {given}: {why}")
        raise Invalid(f'TokenRequest "" is invalid: {cause.field}: {cause.message}', causes=[cause])
    return given


def _bound(access: Access, account: ServiceAccount, ref: BoundObjectReference) -> tuple[KubeObject, ...]:
    """The object that the token is bound to, for a pod also its node. BadRequest, NotFound, Conflict."""
    kind = BOUND.get((ref.kind or "").lower())
    if kind is None or ref.kind != kind.__name__ or (ref.api_version or "v1") != "v1":
        raise BadRequest(f"cannot bind token for object of type {ref.api_version or 'v1'}, Kind={ref.kind}")
    namespace = (account.metadata.namespace or "") if kind.NAMESPACED else ""
    found = access.authorizer.objects.one(kind, Key(namespace, ref.name or ""))
    if found is None:
        raise not_found(kind, ref.name or "")
    if ref.uid and ref.uid != found.metadata.uid:
        raise Conflict(f"the UID in the bound object reference ({ref.uid}) does not match the UID in record")
    if not isinstance(found, Pod):
        return (found,)
    own = found.spec.service_account_name or "default"
    if own != account.metadata.name:
        name = found.metadata.name
        raise BadRequest(
            f'cannot bind token for serviceaccount "{account.metadata.name}" to pod running with different '
            f'serviceaccount name "{own}" (pod {name})'
        )
    node = access.authorizer.objects.one(Node, Key("", found.spec.node_name or ""))
    return (found, node) if node else (found,)
