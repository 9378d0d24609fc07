"""Defaulting of the smaller kinds. Pure, and idempotent as all defaulting.

Source: pkg/apis/{core,scheduling,storage,networking,admissionregistration}/v1/defaults.go of Kubernetes.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from orchestr.api.autoscaling import HorizontalPodAutoscaler
from orchestr.api.autoscalingrules import default as autoscaler
from orchestr.api.base import KubeObject, Model
from orchestr.api.limits import LimitRange, LimitRangeItem
from orchestr.api.meta import LabelSelector
from orchestr.api.networking import Endpoints, IngressClass
from orchestr.api.networkpolicy import NetworkPolicy, NetworkPolicyPort
from orchestr.api.policies import (
    Binding,
    MatchResources,
    MutatingAdmissionPolicy,
    MutatingAdmissionPolicyBinding,
    Policy,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
)
from orchestr.api.priority import PriorityClass
from orchestr.api.storage import PersistentVolume, StorageClass
from orchestr.api.webhooks import (
    MutatingWebhook,
    MutatingWebhookConfiguration,
    ValidatingWebhook,
    ValidatingWebhookConfiguration,
)

M = TypeVar("M", bound=Model)
H = TypeVar("H", bound=ValidatingWebhook)
P = TypeVar("P", bound=Policy)
B = TypeVar("B", bound=Binding)


def changed(model: M, **fields: Any) -> M:
    """A copy with those of the fields that differ; the model itself when none does."""
    different = {name: value for name, value in fields.items() if getattr(model, name) != value}
    return model.but(**different) if different else model


def _priority(priority: PriorityClass) -> PriorityClass:
    return changed(priority, preemption_policy=priority.preemption_policy or "PreemptLowerPriority")


def _storage_class(storage: StorageClass) -> StorageClass:
    return changed(
        storage,
        reclaim_policy=storage.reclaim_policy or "Delete",
        volume_binding_mode=storage.volume_binding_mode or "Immediate",
    )


def _volume(volume: PersistentVolume) -> PersistentVolume:
    spec = changed(
        volume.spec,
        persistent_volume_reclaim_policy=volume.spec.persistent_volume_reclaim_policy or "Retain",
        volume_mode=volume.spec.volume_mode or "Filesystem",
    )
    return changed(volume, spec=spec, status=changed(volume.status, phase=volume.status.phase or "Pending"))


def _endpoints(endpoints: Endpoints) -> Endpoints:
    subsets = [
        {**each, "ports": [{"protocol": "TCP", **port} for port in each["ports"]]} if each.get("ports") else each
        for each in endpoints.subsets or []
    ]
    return changed(endpoints, subsets=subsets) if subsets else endpoints


def _ingress_class(ingress: IngressClass) -> IngressClass:
    parameters = (ingress.spec or {}).get("parameters")
    if not parameters or "scope" in parameters:
        return ingress
    return changed(ingress, spec={**ingress.spec, "parameters": {**parameters, "scope": "Cluster"}})


def _policy(policy: NetworkPolicy) -> NetworkPolicy:
    spec = policy.spec
    types = spec.policy_types or (("Ingress", "Egress") if spec.egress else ("Ingress",))
    ingress = tuple(changed(rule, ports=_ports(rule.ports)) for rule in spec.ingress)
    egress = tuple(changed(rule, ports=_ports(rule.ports)) for rule in spec.egress)
    return changed(policy, spec=changed(spec, policy_types=types, ingress=ingress, egress=egress))


def _ports(ports: tuple[NetworkPolicyPort, ...]) -> tuple[NetworkPolicyPort, ...]:
    return tuple(changed(port, protocol=port.protocol or "TCP") for port in ports)


def _limit_range(limits: LimitRange) -> LimitRange:
    return changed(limits, spec=changed(limits.spec, limits=tuple(_limits(item) for item in limits.spec.limits)))


def _limits(item: LimitRangeItem) -> LimitRangeItem:
    """A container's default limit is the maximum; its default request the default limit, else the minimum."""
    if item.type != "Container":
        return item
    default = {**item.max, **item.default}
    return changed(item, default=default, default_request={**item.min, **default, **item.default_request})


def _hook(hook: H) -> H:
    client = hook.client_config
    if client.service is not None:
        client = changed(client, service=changed(client.service, port=client.service.port or 443))
    return changed(
        hook,
        client_config=client,
        failure_policy=hook.failure_policy or "Fail",
        match_policy=hook.match_policy or "Equivalent",
        namespace_selector=LabelSelector() if hook.namespace_selector is None else hook.namespace_selector,
        object_selector=LabelSelector() if hook.object_selector is None else hook.object_selector,
        timeout_seconds=10 if hook.timeout_seconds is None else hook.timeout_seconds,
        rules=tuple(changed(rule, scope=rule.scope or "*") for rule in hook.rules),
    )


def _validating(config: ValidatingWebhookConfiguration) -> ValidatingWebhookConfiguration:
    return changed(config, webhooks=tuple(_hook(hook) for hook in config.webhooks))


def _mutating(config: MutatingWebhookConfiguration) -> MutatingWebhookConfiguration:
    hooks: list[MutatingWebhook] = [_hook(hook) for hook in config.webhooks]
    hooks = [changed(hook, reinvocation_policy=hook.reinvocation_policy or "Never") for hook in hooks]
    return changed(config, webhooks=tuple(hooks))


def _match(match: MatchResources) -> MatchResources:
    return changed(
        match,
        match_policy=match.match_policy or "Equivalent",
        namespace_selector=LabelSelector() if match.namespace_selector is None else match.namespace_selector,
        object_selector=LabelSelector() if match.object_selector is None else match.object_selector,
        resource_rules=tuple(changed(rule, scope=rule.scope or "*") for rule in match.resource_rules),
        exclude_resource_rules=tuple(changed(rule, scope=rule.scope or "*") for rule in match.exclude_resource_rules),
    )


def _admission(policy: P) -> P:
    spec = policy.spec
    match = spec.match_constraints
    spec = changed(spec, failure_policy=spec.failure_policy or "Fail", match_constraints=match and _match(match))
    return changed(policy, spec=spec)


def _admission_binding(binding: B) -> B:
    match = binding.spec.match_resources
    return changed(binding, spec=changed(binding.spec, match_resources=match and _match(match)))


DEFAULTS: dict[type[KubeObject], Callable[[Any], Any]] = {
    Endpoints: _endpoints,
    HorizontalPodAutoscaler: autoscaler,
    IngressClass: _ingress_class,
    LimitRange: _limit_range,
    MutatingAdmissionPolicy: _admission,
    MutatingAdmissionPolicyBinding: _admission_binding,
    MutatingWebhookConfiguration: _mutating,
    NetworkPolicy: _policy,
    PersistentVolume: _volume,
    PriorityClass: _priority,
    StorageClass: _storage_class,
    ValidatingAdmissionPolicy: _admission,
    ValidatingAdmissionPolicyBinding: _admission_binding,
    ValidatingWebhookConfiguration: _validating,
}
