"""Questions that are posted and answered, never stored: authorization.k8s.io/v1 and authentication.k8s.io/v1."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from orchestr.api.base import Dict, Items, KubeObject, Model, Time
from orchestr.api.schema import Kept

AUTHORIZATION, AUTHENTICATION = "authorization.k8s.io", "authentication.k8s.io"


class ResourceAttributes(Model):
    namespace: str | None = None
    verb: str | None = None
    group: str | None = None
    version: str | None = None
    resource: str | None = None
    subresource: str | None = None
    name: str | None = None
    field_selector: Annotated[Any, Kept("@authorization.v1.FieldSelectorAttributes")] = None
    label_selector: Annotated[Any, Kept("@authorization.v1.LabelSelectorAttributes")] = None


class NonResourceAttributes(Model):
    path: str | None = None
    verb: str | None = None


class SelfSubjectAccessReviewSpec(Model):
    resource_attributes: ResourceAttributes | None = None
    non_resource_attributes: NonResourceAttributes | None = None


class SubjectAccessReviewSpec(SelfSubjectAccessReviewSpec):
    user: str | None = None
    groups: Items[str] = ()
    extra: Dict[tuple[str, ...]] = {}
    uid: str | None = None


class SubjectAccessReviewStatus(Model):
    allowed: bool = False
    denied: bool | None = None
    reason: str | None = None
    evaluation_error: str | None = None


class SelfSubjectAccessReview(KubeObject):
    PLURAL: ClassVar[str] = "selfsubjectaccessreviews"
    GROUP: ClassVar[str] = AUTHORIZATION
    NAMESPACED: ClassVar[bool] = False

    api_version: str = f"{AUTHORIZATION}/v1"
    kind: str = "SelfSubjectAccessReview"
    spec: SelfSubjectAccessReviewSpec
    status: SubjectAccessReviewStatus | None = None


class SubjectAccessReview(KubeObject):
    PLURAL: ClassVar[str] = "subjectaccessreviews"
    GROUP: ClassVar[str] = AUTHORIZATION
    NAMESPACED: ClassVar[bool] = False

    api_version: str = f"{AUTHORIZATION}/v1"
    kind: str = "SubjectAccessReview"
    spec: SubjectAccessReviewSpec
    status: SubjectAccessReviewStatus | None = None


class LocalSubjectAccessReview(KubeObject):
    PLURAL: ClassVar[str] = "localsubjectaccessreviews"
    GROUP: ClassVar[str] = AUTHORIZATION

    api_version: str = f"{AUTHORIZATION}/v1"
    kind: str = "LocalSubjectAccessReview"
    spec: SubjectAccessReviewSpec
    status: SubjectAccessReviewStatus | None = None


class SelfSubjectRulesReviewSpec(Model):
    namespace: str | None = None


class ResourceRule(Model):
    verbs: tuple[str, ...] = ()
    api_groups: Items[str] = ()
    resources: Items[str] = ()
    resource_names: Items[str] = ()


class NonResourceRule(Model):
    verbs: tuple[str, ...] = ()
    non_resource_urls: Items[str] = ()


class SubjectRulesReviewStatus(Model):
    resource_rules: tuple[ResourceRule, ...] = ()
    non_resource_rules: tuple[NonResourceRule, ...] = ()
    incomplete: bool = False
    evaluation_error: str | None = None


class SelfSubjectRulesReview(KubeObject):
    PLURAL: ClassVar[str] = "selfsubjectrulesreviews"
    GROUP: ClassVar[str] = AUTHORIZATION
    NAMESPACED: ClassVar[bool] = False

    api_version: str = f"{AUTHORIZATION}/v1"
    kind: str = "SelfSubjectRulesReview"
    spec: SelfSubjectRulesReviewSpec
    status: SubjectRulesReviewStatus | None = None


class UserInfo(Model):
    username: str | None = None
    uid: str | None = None
    groups: Items[str] = ()
    extra: Mapping[str, tuple[str, ...]] = Field(default={}, exclude_if=lambda value: not value)


class SelfSubjectReviewStatus(Model):
    user_info: UserInfo = UserInfo()


class SelfSubjectReview(KubeObject):
    PLURAL: ClassVar[str] = "selfsubjectreviews"
    GROUP: ClassVar[str] = AUTHENTICATION
    NAMESPACED: ClassVar[bool] = False

    api_version: str = f"{AUTHENTICATION}/v1"
    kind: str = "SelfSubjectReview"
    status: SelfSubjectReviewStatus | None = None


class TokenReviewSpec(Model):
    token: str | None = None
    audiences: Items[str] = ()


class TokenReviewStatus(Model):
    authenticated: bool | None = None
    user: UserInfo = UserInfo()
    audiences: Items[str] = ()
    error: str | None = None


class TokenReview(KubeObject):
    PLURAL: ClassVar[str] = "tokenreviews"
    GROUP: ClassVar[str] = AUTHENTICATION
    NAMESPACED: ClassVar[bool] = False

    api_version: str = f"{AUTHENTICATION}/v1"
    kind: str = "TokenReview"
    spec: TokenReviewSpec
    status: TokenReviewStatus | None = None


class BoundObjectReference(Model):
    kind: str | None = None
    api_version: str | None = None
    name: str | None = None
    uid: str | None = None


class TokenRequestSpec(Model):
    audiences: Items[str] = ()
    expiration_seconds: int | None = None
    bound_object_ref: BoundObjectReference | None = None


class TokenRequestStatus(Model):
    token: str
    expiration_timestamp: Time


class TokenRequest(KubeObject):
    """Posted to serviceaccounts/NAME/token; no resource of its own."""

    PLURAL: ClassVar[str] = ""
    GROUP: ClassVar[str] = AUTHENTICATION

    api_version: str = f"{AUTHENTICATION}/v1"
    kind: str = "TokenRequest"
    spec: TokenRequestSpec = TokenRequestSpec()
    status: TokenRequestStatus | None = None


REVIEWS: tuple[type[KubeObject], ...] = (
    SelfSubjectAccessReview,
    SubjectAccessReview,
    LocalSubjectAccessReview,
    SelfSubjectRulesReview,
    SelfSubjectReview,
    TokenReview,
)
