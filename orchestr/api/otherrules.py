"""Kubernetes' rules for the smaller kinds: leases, classes, volumes, templates, limits, budgets, webhooks.

Source: pkg/apis/{coordination,scheduling,storage,networking,node,policy,certificates,admissionregistration} of
Kubernetes, validation packages.
"""

import base64
import ipaddress
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from orchestr.api import names
from orchestr.api.base import KubeObject
from orchestr.api.certificates import CertificateSigningRequest, RuntimeClass
from orchestr.api.coordination import Lease
from orchestr.api.disruption import PodDisruptionBudget
from orchestr.api.errors import Cause
from orchestr.api.limits import LimitRange, LimitRangeItem
from orchestr.api.meta import LabelSelector
from orchestr.api.metarules import (
    at_key,
    check_labels,
    check_replicas,
    check_selector,
    check_share,
    check_template,
    selects,
)
from orchestr.api.networking import Endpoints, IngressClass
from orchestr.api.policyrules import RULES as POLICY_RULES
from orchestr.api.priority import HIGHEST_USER, SYSTEM, SYSTEM_PREFIX, PriorityClass
from orchestr.api.quantity import parse
from orchestr.api.replication import ReplicationController
from orchestr.api.rules import at_least, duplicates, one_of, port_number, required, wrong
from orchestr.api.storage import PersistentVolume, StorageClass
from orchestr.api.templates import ControllerRevision, PodTemplate
from orchestr.api.webhookrules import RULES as WEBHOOK_RULES

MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")


def _lease(lease: Lease) -> Iterator[Cause]:
    spec = lease.spec or {}
    for field, least in (("leaseDurationSeconds", 1), ("leaseTransitions", 0)):
        yield from at_least(f"spec.{field}", spec.get(field), least)
    if spec.get("holderIdentity") == "":
        yield required("spec.holderIdentity", "must not be empty")
    if spec.get("preferredHolder") and not spec.get("strategy"):
        yield Cause("spec.preferredHolder", "must not be set without strategy")


def _revision(revision: ControllerRevision) -> Iterator[Cause]:
    if revision.data is None:
        yield required("data", "is mandatory")
    yield from at_least("revision", revision.revision, 0)


def _pod_template(template: PodTemplate) -> Iterator[Cause]:
    yield from check_template(template.template, "template")


def _priority(priority: PriorityClass) -> Iterator[Cause]:
    name, value = priority.metadata.name, priority.value
    if name.startswith(SYSTEM_PREFIX):
        if SYSTEM.get(name) != value or priority.global_default:
            known = ", ".join(SYSTEM)
            message = f"names with the prefix {SYSTEM_PREFIX!r} are reserved for the classes of the system ({known})"
            yield Cause("metadata.name", message, "FieldValueForbidden")
    elif value > HIGHEST_USER:
        message = f"must be at most {HIGHEST_USER}: higher values are reserved for the system"
        yield Cause("value", message, "FieldValueForbidden")
    yield from one_of("preemptionPolicy", priority.preemption_policy, ("PreemptLowerPriority", "Never"))


def _storage_class(storage: StorageClass) -> Iterator[Cause]:
    yield from (
        wrong("provisioner", names.label_key(storage.provisioner.lower()))
        if storage.provisioner
        else [required("provisioner")]
    )
    yield from one_of("reclaimPolicy", storage.reclaim_policy, ("Delete", "Retain"))
    yield from one_of("volumeBindingMode", storage.volume_binding_mode, ("Immediate", "WaitForFirstConsumer"))
    if len(storage.parameters) > 512:
        yield Cause("parameters", "has more than 512 keys", "FieldValueTooLong")
    if "" in storage.parameters:
        yield Cause("parameters", "a key must not be empty")


def _volume(volume: PersistentVolume) -> Iterator[Cause]:
    spec = volume.spec
    if not spec.access_modes:
        yield required("spec.accessModes", "needs at least one of " + ", ".join(MODES))
    for index, mode in enumerate(spec.access_modes):
        yield from one_of(f"spec.accessModes[{index}]", mode, MODES)
    if "ReadWriteOncePod" in spec.access_modes and len(spec.access_modes) > 1:
        yield Cause("spec.accessModes", "ReadWriteOncePod goes with no other mode", "FieldValueForbidden")
    if list(spec.capacity) != ["storage"]:
        yield Cause("spec.capacity", "needs storage and nothing else", "FieldValueNotSupported")
    yield from _positive("spec.capacity", spec.capacity)
    yield from one_of(
        "spec.persistentVolumeReclaimPolicy", spec.persistent_volume_reclaim_policy, ("Retain", "Delete", "Recycle")
    )
    if spec.volume_mode == "Block":
        yield Cause("spec.volumeMode", "not supported: Block; volumes are directories and files")
    else:
        yield from one_of("spec.volumeMode", spec.volume_mode, ("Filesystem",))
    yield from _volume_source(volume)


def _volume_source(volume: PersistentVolume) -> Iterator[Cause]:
    spec = volume.spec
    if sum(source is not None for source in (spec.host_path, spec.local, spec.csi)) != 1:
        yield required("spec", "needs one volume source: hostPath or local (others are not supported on one machine)")
    elif spec.csi is not None:
        yield from [] if spec.csi.get("driver") else [required("spec.csi.driver")]
        yield from [] if spec.csi.get("volumeHandle") else [required("spec.csi.volumeHandle")]
    elif not spec.path.startswith("/") or ".." in spec.path.split("/"):
        field = "hostPath" if spec.host_path else "local"
        yield Cause(f"spec.{field}.path", f"must be an absolute path without '..', not {spec.path!r}")
    if spec.local is not None and not spec.node_affinity:
        yield required("spec.nodeAffinity", "is required for a local volume")
    if spec.persistent_volume_reclaim_policy == "Recycle":
        yield Cause("spec.persistentVolumeReclaimPolicy", "not supported: Recycle (write Retain)")


def _positive(at: str, amounts: Any) -> Iterator[Cause]:
    for name, value in amounts.items():
        if parse(value) <= 0:
            yield Cause(at_key(at, name), f"must be more than 0, not {value}")


def _endpoints(endpoints: Endpoints) -> Iterator[Cause]:
    for index, subset in enumerate(endpoints.subsets or []):
        at = f"subsets[{index}]"
        groups = [(field, subset.get(field) or []) for field in ("addresses", "notReadyAddresses")]
        if not any(addresses for _, addresses in groups):
            yield required(at, "needs addresses or notReadyAddresses")
        for field, addresses in groups:
            for i, address in enumerate(addresses):
                try:
                    ip = ipaddress.ip_address(address.get("ip", ""))
                except ValueError:
                    yield Cause(f"{at}.{field}[{i}].ip", f"{address.get('ip')!r} is no IP address")
                    continue
                if ip.is_loopback or ip.is_unspecified or ip.is_link_local or ip.is_multicast:
                    yield Cause(f"{at}.{field}[{i}].ip", f"{ip} is no address of an endpoint")
        ports = subset.get("ports") or []
        for i, port in enumerate(ports):
            yield from port_number(f"{at}.ports[{i}].port", port.get("port"))
            yield from one_of(f"{at}.ports[{i}].protocol", port.get("protocol"), ("TCP", "UDP", "SCTP"))
            if len(ports) > 1 and not port.get("name"):
                yield required(f"{at}.ports[{i}].name", "is required when there are several ports")
            elif port.get("name"):
                yield from wrong(f"{at}.ports[{i}].name", names.dns_label(port["name"]))


def _ingress_class(ingress: IngressClass) -> Iterator[Cause]:
    controller = (ingress.spec or {}).get("controller") or ""
    if len(controller) > 250:
        yield Cause("spec.controller", "has more than 250 characters", "FieldValueTooLong")
    if controller and (message := names.label_key(controller.lower())) and "/" not in controller:
        yield Cause("spec.controller", message)
    parameters = (ingress.spec or {}).get("parameters")
    if parameters:
        yield from one_of("spec.parameters.scope", parameters.get("scope"), ("Cluster", "Namespace"))
        if (parameters.get("scope") == "Namespace") != bool(parameters.get("namespace")):
            yield Cause("spec.parameters.namespace", "goes with scope Namespace, and only with it")


def _runtime_class(runtime: RuntimeClass) -> Iterator[Cause]:
    yield from wrong("handler", names.dns_label(runtime.handler))


USAGES = (
    *("signing", "digital signature", "content commitment", "key encipherment", "key agreement", "data encipherment"),
    *("cert sign", "crl sign", "encipher only", "decipher only", "any", "server auth", "client auth", "code signing"),
    *("email protection", "s/mime", "ipsec end system", "ipsec tunnel", "ipsec user", "timestamping", "ocsp signing"),
    *("microsoft sgc", "netscape sgc"),
)


def _signing(request: CertificateSigningRequest) -> Iterator[Cause]:
    spec = request.spec
    try:
        text = base64.b64decode(spec.get("request", ""), validate=True).strip()
    except ValueError:
        text = b""
    if not text.startswith(b"-----BEGIN CERTIFICATE REQUEST-----"):
        yield Cause("spec.request", "is no certificate request in PEM (-----BEGIN CERTIFICATE REQUEST-----)")
    signer = spec.get("signerName", "")
    domain, slash, path = signer.partition("/")
    if not slash or not path or names.dns_subdomain(domain):
        yield Cause("spec.signerName", f"must be a domain and a path such as example.com/signer, not {signer!r}")
    yield from at_least("spec.expirationSeconds", spec.get("expirationSeconds"), 600)
    for index, usage in enumerate(spec.get("usages") or []):
        yield from one_of(f"spec.usages[{index}]", usage, USAGES)
    yield from duplicates(((f"spec.usages[{i}]", u) for i, u in enumerate(spec.get("usages") or [])), "usage")
    if not spec.get("usages"):
        yield required("spec.usages")


def _limit_range(limits: LimitRange) -> Iterator[Cause]:
    items = limits.spec.limits
    for index, item in enumerate(items):
        yield from _limits(item, f"spec.limits[{index}]")
    yield from duplicates(((f"spec.limits[{i}].type", item.type) for i, item in enumerate(items)), "type")


def _limits(item: LimitRangeItem, at: str) -> Iterator[Cause]:
    yield from one_of(f"{at}.type", item.type, ("Pod", "Container", "PersistentVolumeClaim"))
    if item.type == "Pod":
        for field, given in (("default", item.default), ("defaultRequest", item.default_request)):
            if given:
                yield Cause(f"{at}.{field}", "may not be specified when type is Pod", "FieldValueForbidden")
    if item.type == "PersistentVolumeClaim" and "storage" not in {**item.min, **item.max}:
        yield required(f"{at}.limits", "needs a minimum or a maximum of storage")
    for name in {**item.min, **item.default_request, **item.default, **item.max}:
        chain = (
            ("min", item.min),
            ("defaultRequest", item.default_request),
            ("default", item.default),
            ("max", item.max),
        )
        there = [(field, parse(values[name])) for field, values in chain if name in values]
        for (low, small), (high, large) in pairwise(there):
            if small > large:
                yield Cause(at_key(f"{at}.{low}", name), f"{low} value is greater than {high} value")
    for name, ratio in item.max_limit_request_ratio.items():
        if parse(ratio) < 1:
            yield Cause(at_key(f"{at}.maxLimitRequestRatio", name), f"ratio {ratio} is less than 1")


def _budget(budget: PodDisruptionBudget) -> Iterator[Cause]:
    spec = budget.spec
    if spec.min_available is not None and spec.max_unavailable is not None:
        yield Cause("spec", "minAvailable and maxUnavailable cannot be both set")
    yield from check_share("spec.minAvailable", spec.min_available, most=100)
    yield from check_share("spec.maxUnavailable", spec.max_unavailable, most=100)
    if spec.selector is not None:
        yield from check_selector(spec.selector, "spec.selector")
    policies = ("IfHealthyBudget", "AlwaysAllow")
    yield from one_of("spec.unhealthyPodEvictionPolicy", spec.unhealthy_pod_eviction_policy, policies)


def _replication(rc: ReplicationController) -> Iterator[Cause]:
    spec = rc.spec
    yield from check_replicas("spec.replicas", spec.replicas)
    yield from at_least("spec.minReadySeconds", spec.min_ready_seconds, 0)
    yield from check_labels(spec.selector, "spec.selector")
    if spec.template is None:
        yield required("spec.template")
        return
    yield from selects(LabelSelector(match_labels=spec.selector), spec.template)
    yield from check_template(spec.template, "spec.template")
    yield from one_of("spec.template.spec.restartPolicy", spec.template.spec.restart_policy, ("Always",))


RULES: dict[type[KubeObject], Callable[[Any], Iterator[Cause]]] = {
    CertificateSigningRequest: _signing,
    ControllerRevision: _revision,
    Endpoints: _endpoints,
    IngressClass: _ingress_class,
    Lease: _lease,
    LimitRange: _limit_range,
    PersistentVolume: _volume,
    PodDisruptionBudget: _budget,
    PodTemplate: _pod_template,
    PriorityClass: _priority,
    ReplicationController: _replication,
    RuntimeClass: _runtime_class,
    StorageClass: _storage_class,
    **POLICY_RULES,
    **WEBHOOK_RULES,
}
