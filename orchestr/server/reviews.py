"""Questions about rights and tokens: posted, answered, not stored (authorization.k8s.io, authentication.k8s.io)."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from orchestr.api.base import KubeObject
from orchestr.api.decode import model_of
from orchestr.api.errors import ApiError, BadRequest, Cause, Invalid
from orchestr.api.reviews import (
    REVIEWS,
    LocalSubjectAccessReview,
    NonResourceRule,
    ResourceRule,
    SelfSubjectAccessReview,
    SelfSubjectAccessReviewSpec,
    SelfSubjectReview,
    SelfSubjectReviewStatus,
    SelfSubjectRulesReview,
    SubjectAccessReview,
    SubjectAccessReviewSpec,
    SubjectAccessReviewStatus,
    SubjectRulesReviewStatus,
    TokenReview,
    TokenReviewStatus,
    UserInfo,
)
from orchestr.api.scheme import gvk
from orchestr.server import content
from orchestr.server.access import Access
from orchestr.server.answer import json_data
from orchestr.server.attributes import Attributes
from orchestr.server.auth import Unauthorized
from orchestr.server.authorize import granted
from orchestr.server.body import as_object, document
from orchestr.server.paths import Target, unknown
from orchestr.server.user import User

GROUPS = {(kind.GROUP, kind.VERSION) for kind in REVIEWS}
BY_PLURAL = {(kind.GROUP, kind.VERSION, kind.PLURAL): kind for kind in REVIEWS}


class OnlyCreate(ApiError):
    code, reason = 405, "MethodNotAllowed"


async def answer(access: Access, request: Request, where: Target) -> Response:
    """The review with its status."""
    path = request.scope["path"]
    kind = BY_PLURAL.get((where.group, where.version, where.plural))
    if kind is None or where.name or bool(where.namespace) != kind.NAMESPACED:
        raise unknown(path)
    if request.method != "POST":
        raise OnlyCreate(f"cannot {request.method} {path}: a review is only created (POST it)")
    content.form(request.headers.get("accept"))  # a review is no row of a table: NotAcceptable
    data, _ = await document(request)
    review = decoded(kind, as_object(data))
    if isinstance(review, LocalSubjectAccessReview):
        _check_namespace(review, where.namespace)
    status = ANSWERS[kind](access, request.scope["user"], review)
    return json_data({"kind": review.kind, "apiVersion": review.api_version, **review.but(status=status).wire()}, 201)


def decoded(kind: type[KubeObject], data: dict[str, Any]) -> KubeObject:
    """Of a body that may leave kind and apiVersion out."""
    api_version, name = gvk(kind)
    given = (data.get("apiVersion") or api_version, data.get("kind") or name)
    if given != (api_version, name):
        raise BadRequest(f"cannot read the body: {given[1]} of {given[0]} (send a {name} of {api_version})")
    return model_of(kind, {**data, "apiVersion": api_version, "kind": name})


def _check_namespace(review: LocalSubjectAccessReview, namespace: str) -> None:
    attributes = review.spec.resource_attributes
    if attributes is None or attributes.namespace != namespace:
        message = f"must be the request namespace: {namespace}"
        raise _invalid(review, Cause("spec.resourceAttributes.namespace", message))


def _invalid(review: KubeObject, cause: Cause) -> Invalid:
    return Invalid(f'{review.kind} "" is invalid: {cause.field}: {cause.message}', causes=[cause])


def _wanted(review: KubeObject, spec: SelfSubjectAccessReviewSpec) -> Attributes:
    resource, other = spec.resource_attributes, spec.non_resource_attributes
    if (resource is None) == (other is None):
        message = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise _invalid(review, Cause("spec.resourceAttributes", message))
    if other is not None:
        return Attributes(other.verb or "", path=other.path or "/")
    assert resource is not None
    return Attributes(
        resource.verb or "",
        resource.group or "",
        resource.version or "",
        resource.resource or "",
        resource.subresource or "",
        resource.namespace or "",
        resource.name or "",
    )


def _verdict(access: Access, user: User, wanted: Attributes) -> SubjectAccessReviewStatus:
    why = access.authorizer.reason(user, wanted)
    return SubjectAccessReviewStatus(allowed=why is not None, reason=why)


def _own_access(access: Access, user: User, review: SelfSubjectAccessReview) -> SubjectAccessReviewStatus:
    return _verdict(access, user, _wanted(review, review.spec))


def _access(
    access: Access, _user: User, review: SubjectAccessReview | LocalSubjectAccessReview
) -> SubjectAccessReviewStatus:
    spec: SubjectAccessReviewSpec = review.spec
    wanted = _wanted(review, spec)
    if not spec.user and not spec.groups:
        raise _invalid(review, Cause("spec.user", "at least one of user or group must be specified"))
    return _verdict(access, User(spec.user or "", spec.uid or "", spec.groups, spec.extra), wanted)


def _rules(access: Access, user: User, review: SelfSubjectRulesReview) -> SubjectRulesReviewStatus:
    if not review.spec.namespace:
        raise BadRequest("no namespace on request (give spec.namespace)")
    rules = [rule for rule, _ in granted(access.authorizer.objects, user, review.spec.namespace)]
    return SubjectRulesReviewStatus(
        resource_rules=tuple(
            ResourceRule(
                verbs=rule.verbs,
                api_groups=rule.api_groups,
                resources=rule.resources,
                resource_names=rule.resource_names,
            )
            for rule in rules
            if rule.resources
        ),
        non_resource_rules=tuple(
            NonResourceRule(verbs=rule.verbs, non_resource_urls=rule.non_resource_urls)
            for rule in rules
            if rule.non_resource_urls
        ),
    )


def info(user: User) -> UserInfo:
    return UserInfo(username=user.name, uid=user.uid or None, groups=user.groups, extra=user.extra)


def _who(_access: Access, user: User, _review: SelfSubjectReview) -> SelfSubjectReviewStatus:
    return SelfSubjectReviewStatus(user_info=info(user))


def _token(access: Access, _user: User, review: TokenReview) -> TokenReviewStatus:
    if not review.spec.token:
        raise BadRequest("token is required for TokenReview in authentication (give spec.token)")
    try:
        user, audiences = access.token(review.spec.token, review.spec.audiences)
    except Unauthorized:
        return TokenReviewStatus(authenticated=False, error="invalid bearer token")
    return TokenReviewStatus(authenticated=True, user=info(user), audiences=audiences)


ANSWERS: dict[type[KubeObject], Callable[[Access, User, Any], Any]] = {
    SelfSubjectAccessReview: _own_access,
    SubjectAccessReview: _access,
    LocalSubjectAccessReview: _access,
    SelfSubjectRulesReview: _rules,
    SelfSubjectReview: _who,
    TokenReview: _token,
}
