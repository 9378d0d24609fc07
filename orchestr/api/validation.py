"""Kubernetes' rules for the kinds that are served: what pydantic cannot see. Run after defaulting.

`validate` collects everything that is wrong with an object, `validate_update` what must not change.
Source: pkg/apis/*/validation of Kubernetes.
"""

import base64
import binascii
import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

from orchestr.api import autoscalingrules, definitionrules, names
from orchestr.api.apps import Deployment, ReplicaSet
from orchestr.api.autoscaling import HorizontalPodAutoscaler
from orchestr.api.base import KubeObject
from orchestr.api.batch import Job
from orchestr.api.config import ACCOUNT_NAME, ACCOUNT_TOKEN
from orchestr.api.core import (
    ConfigMap,
    Namespace,
    Node,
    PersistentVolumeClaim,
    Pod,
    ResourceQuota,
    Secret,
    Service,
    ServicePort,
)
from orchestr.api.cronjob import CronJob
from orchestr.api.custom import Custom
from orchestr.api.daemonset import DaemonSet
from orchestr.api.definition import CustomResourceDefinition
from orchestr.api.discovery import EndpointSlice
from orchestr.api.errors import Cause
from orchestr.api.immutable import validate_update
from orchestr.api.jobrules import cron_job, job
from orchestr.api.meta import scaled
from orchestr.api.metarules import (
    at_key,
    check_annotations,
    check_finalizers,
    check_labels,
    check_replicas,
    check_share,
    check_template,
    selects,
)
from orchestr.api.networkrules import RULES as NETWORK_RULES
from orchestr.api.otherrules import RULES as OTHER_RULES
from orchestr.api.placementrules import taints
from orchestr.api.podrules import pod_spec
from orchestr.api.quantity import parse
from orchestr.api.rbac import ClusterRole, ClusterRoleBinding, Role, RoleBinding
from orchestr.api.rbacrules import RULES as RBAC_RULES
from orchestr.api.rbacrules import path_segment
from orchestr.api.rules import at_least, duplicates, one_of, port_number, required, wrong
from orchestr.api.statefulset import StatefulSet
from orchestr.api.workloadrules import always, daemon_set, stateful_set

__all__ = ["validate", "validate_update"]

DATA_LIMIT = 1024 * 1024  # bytes of a ConfigMap or Secret


def validate(obj: KubeObject) -> list[Cause]:
    """Everything that is wrong with the object; empty when it may be stored."""
    causes = list(_metadata(obj))
    if isinstance(obj, Custom):
        return causes + list(obj.problems())
    rules: Callable[[Any], Iterator[Cause]] | None = RULES.get(type(obj))
    return causes + list(rules(obj)) if rules else causes


def _metadata(obj: KubeObject) -> Iterator[Cause]:
    metadata = obj.metadata
    name, field = metadata.name, "metadata.name"
    if not name and metadata.generate_name:
        name, field = metadata.generate_name.rstrip("-.") + "-x", "metadata.generateName"
    yield from wrong(field, NAME_RULES.get(type(obj), names.dns_subdomain)(name)) if name else [required(field)]
    if metadata.namespace:
        yield from wrong("metadata.namespace", names.dns_label(metadata.namespace))
    yield from check_labels(metadata.labels, "metadata.labels")
    yield from check_annotations(metadata.annotations, "metadata.annotations")
    yield from check_finalizers(metadata.finalizers, "metadata.finalizers")


def _pod(pod: Pod) -> Iterator[Cause]:
    yield from pod_spec(pod.spec, "spec")


def _replica_set(rs: ReplicaSet) -> Iterator[Cause]:
    yield from check_replicas("spec.replicas", rs.spec.replicas)
    yield from at_least("spec.minReadySeconds", rs.spec.min_ready_seconds, 0)
    yield from selects(rs.spec.selector, rs.spec.template)
    yield from check_template(rs.spec.template, "spec.template")
    yield from always(rs.spec.template, "ReplicaSet")


def _deployment(deployment: Deployment) -> Iterator[Cause]:
    spec = deployment.spec
    yield from check_replicas("spec.replicas", spec.replicas)
    yield from at_least("spec.minReadySeconds", spec.min_ready_seconds, 0)
    yield from at_least("spec.revisionHistoryLimit", spec.revision_history_limit, 0)
    if spec.progress_deadline_seconds <= spec.min_ready_seconds:
        yield Cause("spec.progressDeadlineSeconds", f"must be more than minReadySeconds ({spec.min_ready_seconds})")
    yield from _strategy(deployment)
    yield from selects(spec.selector, spec.template)
    yield from check_template(spec.template, "spec.template")
    yield from always(spec.template, "Deployment")


def _strategy(deployment: Deployment) -> Iterator[Cause]:
    strategy = deployment.spec.strategy
    yield from one_of("spec.strategy.type", strategy.type, ("RollingUpdate", "Recreate"))
    rolling = strategy.rolling_update
    if rolling is None:
        return
    at = "spec.strategy.rollingUpdate"
    if strategy.type == "Recreate":
        yield Cause(at, "must not be set with type Recreate")
    bad = [*check_share(f"{at}.maxSurge", rolling.max_surge)]
    bad += check_share(f"{at}.maxUnavailable", rolling.max_unavailable, most=100)
    yield from bad
    if not bad and not any(scaled(value, 100, up=True) for value in (rolling.max_surge, rolling.max_unavailable)):
        yield Cause(f"{at}.maxUnavailable", "must not be 0 when maxSurge is 0: no pod could ever be replaced")


def _service(service: Service) -> Iterator[Cause]:
    spec = service.spec
    if spec.type == "ExternalName":
        yield Cause("spec.type", "not supported: ExternalName; names outside of this machine are not served")
    else:
        yield from one_of("spec.type", spec.type, ("ClusterIP", "NodePort", "LoadBalancer"))
    yield from one_of("spec.sessionAffinity", spec.session_affinity, ("None", "ClientIP"))
    policies = ("SingleStack", "PreferDualStack", "RequireDualStack")
    yield from one_of("spec.ipFamilyPolicy", spec.ip_family_policy, policies)
    if not spec.ports and not spec.headless:
        yield required("spec.ports", "needs at least one port")
    yield from check_labels(spec.selector, "spec.selector")
    for index, address in enumerate(spec.cluster_ips):
        yield from _cluster_ip(f"spec.clusterIPs[{index}]", address)
    for index, port in enumerate(spec.ports):
        yield from _service_port(port, f"spec.ports[{index}]", len(spec.ports) > 1)
    yield from _service_duplicates(service)


def _cluster_ip(field: str, address: str) -> Iterator[Cause]:
    if address in ("None", ""):
        return
    try:
        ipaddress.ip_address(address)
    except ValueError:
        yield Cause(field, f"{address!r} is neither an IP address nor None")


def _service_port(port: ServicePort, at: str, several: bool) -> Iterator[Cause]:
    yield from port_number(f"{at}.port", port.port)
    yield from port_number(f"{at}.nodePort", port.node_port or None)
    if isinstance(port.target_port, int):
        yield from port_number(f"{at}.targetPort", port.target_port)
    elif port.target_port is not None:
        yield from wrong(f"{at}.targetPort", names.port_name(port.target_port))
    if port.name:
        yield from wrong(f"{at}.name", names.dns_label(port.name))
    elif several:
        yield required(f"{at}.name", "is required when a service has several ports")


def _service_duplicates(service: Service) -> Iterator[Cause]:
    ports = list(enumerate(service.spec.ports))
    yield from duplicates(((f"spec.ports[{i}].name", p.name or None) for i, p in ports), "port")
    yield from duplicates(((f"spec.ports[{i}].port", (p.port, p.protocol)) for i, p in ports), "port")
    nodes = ((f"spec.ports[{i}].nodePort", (p.node_port, p.protocol) if p.node_port else None) for i, p in ports)
    yield from duplicates(nodes, "node port")


def _data(keys: Any, encoded: Any, at: str) -> Iterator[Cause]:
    """Keys of a ConfigMap or Secret, base64 of the encoded ones, and the size of all."""
    size = 0
    for field, values in keys.items():
        for key, text in values.items():
            yield from wrong(at_key(field, key), names.config_key(key))
            size += len(text)
            if field == encoded:
                yield from _base64(at_key(field, key), text)
    if size > DATA_LIMIT * (4 / 3 if encoded == "data" else 1):
        yield Cause(at, f"has more than {DATA_LIMIT} bytes", "FieldValueTooLong")


def _base64(field: str, text: str) -> Iterator[Cause]:
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        yield Cause(field, "is not base64 (use stringData for plain text)")


def _config_map(config: ConfigMap) -> Iterator[Cause]:
    yield from _data({"data": config.data, "binaryData": config.binary_data}, "binaryData", "data")
    both = ((at_key("binaryData", key), key) for key in config.binary_data if key in config.data)
    for field, key in both:
        yield Cause(field, f"key {key!r} is in data too", "FieldValueDuplicate")


SECRET_KEYS = {
    "kubernetes.io/basic-auth": (("username", "password"),),
    "kubernetes.io/dockercfg": ((".dockercfg",),),
    "kubernetes.io/dockerconfigjson": ((".dockerconfigjson",),),
    "kubernetes.io/ssh-auth": (("ssh-privatekey",),),
    "kubernetes.io/tls": (("tls.crt",), ("tls.key",)),
}  # by type: of each of these one key at least


def _secret(secret: Secret) -> Iterator[Cause]:
    yield from _data({"data": secret.data, "stringData": secret.string_data}, "data", "data")
    keys = secret.data.keys() | secret.string_data.keys()
    for either in SECRET_KEYS.get(secret.type, ()):
        if not keys & set(either):
            yield required(at_key("data", either[0]), f"is required in a Secret of type {secret.type}")
    if secret.type == ACCOUNT_TOKEN and not secret.metadata.annotations.get(ACCOUNT_NAME):
        yield required(at_key("metadata.annotations", ACCOUNT_NAME))


def _quota(quota: ResourceQuota) -> Iterator[Cause]:
    for name, value in quota.spec.hard.items():
        if parse(value) < 0:
            yield Cause(at_key("spec.hard", name), f"must not be negative, not {value}")


def _claim(claim: PersistentVolumeClaim) -> Iterator[Cause]:
    modes = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
    if not claim.spec.access_modes:
        yield required("spec.accessModes", "needs at least one of " + ", ".join(modes))
    for index, mode in enumerate(claim.spec.access_modes):
        yield from one_of(f"spec.accessModes[{index}]", mode, modes)
    storage = claim.spec.resources.requests.get("storage")
    if storage is None:
        yield required("spec.resources.requests.storage")
    elif parse(storage) <= 0:
        yield Cause("spec.resources.requests.storage", f"must be more than 0, not {storage}")


def _slice(endpoints: EndpointSlice) -> Iterator[Cause]:
    yield from one_of("addressType", endpoints.address_type, ("IPv4", "IPv6", "FQDN"))
    for index, endpoint in enumerate(endpoints.endpoints):
        if not endpoint.addresses:
            yield required(f"endpoints[{index}].addresses", "needs at least one address")


RULES: dict[type[KubeObject], Callable[[Any], Iterator[Cause]]] = {
    Node: taints,
    Pod: _pod,
    ReplicaSet: _replica_set,
    Deployment: _deployment,
    StatefulSet: stateful_set,
    DaemonSet: daemon_set,
    Job: job,
    CronJob: cron_job,
    Service: _service,
    ConfigMap: _config_map,
    Secret: _secret,
    ResourceQuota: _quota,
    PersistentVolumeClaim: _claim,
    EndpointSlice: _slice,
    CustomResourceDefinition: definitionrules.validate,
    HorizontalPodAutoscaler: autoscalingrules.validate,
    **NETWORK_RULES,
    **OTHER_RULES,
    **RBAC_RULES,
}
NAME_RULES: dict[type[KubeObject], Callable[[str], str]] = {
    Namespace: names.dns_label,
    Role: path_segment,
    ClusterRole: path_segment,
    RoleBinding: path_segment,
    ClusterRoleBinding: path_segment,
    Service: names.dns_label,  # a digit may come first, as Kubernetes allows since 1.34
}
