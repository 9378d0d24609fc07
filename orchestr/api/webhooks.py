"""MutatingWebhookConfiguration and ValidatingWebhookConfiguration (admissionregistration.k8s.io/v1)."""

from typing import ClassVar

from orchestr.api.base import Items, KubeObject, Model
from orchestr.api.meta import LabelSelector


class ServiceReference(Model):
    namespace: str
    name: str
    path: str | None = None
    port: int | None = None


class WebhookClientConfig(Model):
    url: str | None = None
    service: ServiceReference | None = None
    ca_bundle: str | None = None  # PEM in base64


class RuleWithOperations(Model):
    operations: Items[str] = ()  # CREATE, UPDATE, DELETE, CONNECT, *
    api_groups: Items[str] = ()
    api_versions: Items[str] = ()
    resources: Items[str] = ()  # pods, pods/status, */*
    scope: str | None = None  # Cluster, Namespaced, *


class MatchCondition(Model):
    name: str
    expression: str


class ValidatingWebhook(Model):
    name: str
    client_config: WebhookClientConfig
    rules: Items[RuleWithOperations] = ()
    failure_policy: str | None = None  # Fail, Ignore
    match_policy: str | None = None  # Exact, Equivalent
    namespace_selector: LabelSelector | None = None
    object_selector: LabelSelector | None = None
    side_effects: str  # None, NoneOnDryRun
    timeout_seconds: int | None = None
    admission_review_versions: tuple[str, ...]
    match_conditions: Items[MatchCondition] = ()


class MutatingWebhook(ValidatingWebhook):
    reinvocation_policy: str | None = None  # Never, IfNeeded


class ValidatingWebhookConfiguration(KubeObject):
    PLURAL: ClassVar[str] = "validatingwebhookconfigurations"
    GROUP: ClassVar[str] = "admissionregistration.k8s.io"
    NAMESPACED: ClassVar[bool] = False

    api_version: str = "admissionregistration.k8s.io/v1"
    kind: str = "ValidatingWebhookConfiguration"
    webhooks: Items[ValidatingWebhook] = ()


class MutatingWebhookConfiguration(KubeObject):
    PLURAL: ClassVar[str] = "mutatingwebhookconfigurations"
    GROUP: ClassVar[str] = "admissionregistration.k8s.io"
    NAMESPACED: ClassVar[bool] = False

    api_version: str = "admissionregistration.k8s.io/v1"
    kind: str = "MutatingWebhookConfiguration"
    webhooks: Items[MutatingWebhook] = ()
