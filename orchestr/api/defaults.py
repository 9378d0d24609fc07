"""Kubernetes' defaulting: what is filled in when an object is written.

Most defaults are the defaults of the models' fields. Here is what depends on something else: on another field, on what
was left out, on the uid. Pure: a new object comes back, and defaulting it again changes nothing.
Source: pkg/apis/{core,apps,batch}/v1/defaults.go of Kubernetes.
"""

import base64
from collections.abc import Callable
from typing import Any, TypeVar

from orchestr.api import definitionrules
from orchestr.api.apps import Deployment, ReplicaSet, RollingUpdateDeployment
from orchestr.api.base import KubeObject, Model
from orchestr.api.batch import CONTROLLER_UID, JOB_NAME, Job, PodFailurePolicy
from orchestr.api.core import (
    ClientIPConfig,
    Container,
    EmptyDirVolumeSource,
    Namespace,
    PersistentVolumeClaim,
    Pod,
    PodSpec,
    PodTemplateSpec,
    Secret,
    Service,
    ServicePort,
    ServiceSpec,
    SessionAffinityConfig,
    Volume,
)
from orchestr.api.cronjob import CronJob
from orchestr.api.daemonset import DaemonSet, RollingUpdateDaemonSet
from orchestr.api.definition import CustomResourceDefinition
from orchestr.api.meta import LabelSelector
from orchestr.api.otherdefaults import DEFAULTS as OTHER_DEFAULTS
from orchestr.api.otherdefaults import changed as _changed
from orchestr.api.rbac import ClusterRoleBinding, RoleBinding
from orchestr.api.rbacrules import default_binding
from orchestr.api.replication import ReplicationController
from orchestr.api.statefulset import RollingUpdateStatefulSetStrategy, StatefulSet
from orchestr.api.templates import PodTemplate

K = TypeVar("K", bound=KubeObject)
M = TypeVar("M", bound=Model)
C = TypeVar("C", bound=Container)

NAMESPACE_NAME = "kubernetes.io/metadata.name"  # label on every namespace
FAMILIES = ("IPv4", "IPv6")


def default(obj: K) -> K:
    """The object with defaults filled in; the same object when there is nothing to fill in."""
    found: Callable[[Any], Any] | None = DEFAULTS.get(type(obj))
    result: K = found(obj) if found else obj
    return result


def image_pull_policy(image: str | None) -> str:
    """Always for `latest` and for no tag at all, else IfNotPresent."""
    if not image or "@" in image:
        return "IfNotPresent"
    _, _, tag = image.rpartition("/")[2].partition(":")
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _container(container: C, host_network: bool) -> C:
    limits = {name: value for name, value in container.resources.limits.items() if not name.startswith("orchestr.dev/")}
    ports = container.ports
    if host_network:
        ports = tuple(_changed(port, host_port=port.host_port or port.container_port) for port in ports)
    return _changed(
        container,
        image_pull_policy=container.image_pull_policy or image_pull_policy(container.image),
        resources=_changed(container.resources, requests={**limits, **container.resources.requests}),
        ports=ports,
    )


def _volume(volume: Volume) -> Volume:
    sources = (volume.host_path, volume.empty_dir, volume.config_map, volume.secret, volume.projected)
    return (
        volume if any(sources) or volume.persistent_volume_claim else _changed(volume, empty_dir=EmptyDirVolumeSource())
    )


def pod_spec(spec: PodSpec) -> PodSpec:
    host_network = bool(spec.host_network)
    return _changed(
        spec,
        containers=tuple(_container(container, host_network) for container in spec.containers),
        init_containers=tuple(_container(container, host_network) for container in spec.init_containers),
        ephemeral_containers=tuple(_container(container, False) for container in spec.ephemeral_containers),
        volumes=tuple(_volume(volume) for volume in spec.volumes),
        enable_service_links=True if spec.enable_service_links is None else spec.enable_service_links,
    )


def _template(template: PodTemplateSpec) -> PodTemplateSpec:
    return _changed(template, spec=pod_spec(template.spec))


def _pod(pod: Pod) -> Pod:
    return _changed(pod, spec=pod_spec(pod.spec), status=_changed(pod.status, phase=pod.status.phase or "Pending"))


def _replica_set(rs: ReplicaSet) -> ReplicaSet:
    return _changed(rs, spec=_changed(rs.spec, template=_template(rs.spec.template)))


def _deployment(deployment: Deployment) -> Deployment:
    strategy = deployment.spec.strategy
    if strategy.type == "RollingUpdate":
        strategy = _changed(strategy, rolling_update=strategy.rolling_update or RollingUpdateDeployment())
    return _changed(
        deployment,
        spec=_changed(deployment.spec, strategy=strategy, template=_template(deployment.spec.template)),
    )


def _stateful_set(sts: StatefulSet) -> StatefulSet:
    spec = sts.spec
    strategy = spec.update_strategy
    if strategy.type == "RollingUpdate":
        strategy = _changed(strategy, rolling_update=strategy.rolling_update or RollingUpdateStatefulSetStrategy())
    claims = tuple(_claim(claim) for claim in spec.volume_claim_templates)
    template = _template(spec.template)
    spec = _changed(spec, update_strategy=strategy, volume_claim_templates=claims, template=template)
    return _changed(sts, spec=spec)


def _daemon_set(ds: DaemonSet) -> DaemonSet:
    strategy = ds.spec.update_strategy
    if strategy.type == "RollingUpdate":
        strategy = _changed(strategy, rolling_update=strategy.rolling_update or RollingUpdateDaemonSet())
    return _changed(ds, spec=_changed(ds.spec, update_strategy=strategy, template=_template(ds.spec.template)))


def _job(job: Job) -> Job:
    spec = job.spec
    # Neither given means one pod; parallelism alone means a work queue, which is done when its pods are.
    alone = spec.completions is None and spec.parallelism is None
    spec = _changed(
        spec,
        completions=1 if alone else spec.completions,
        parallelism=spec.parallel,
        completion_mode=spec.completion_mode or "NonIndexed",
        backoff_limit=spec.patience,
        suspend=bool(spec.suspend),
        pod_failure_policy=_failure_policy(spec.pod_failure_policy),
        pod_replacement_policy=spec.pod_replacement_policy
        or ("Failed" if spec.pod_failure_policy else "TerminatingOrFailed"),
        template=_template(spec.template),
    )
    uid = job.metadata.uid
    if uid and not spec.manual_selector and spec.selector is None:
        labels = {
            CONTROLLER_UID: uid,
            JOB_NAME: job.metadata.name,
            "controller-uid": uid,
            "job-name": job.metadata.name,
        }
        metadata = spec.template.metadata
        spec = spec.but(
            selector=LabelSelector(match_labels={CONTROLLER_UID: uid}),
            template=spec.template.but(metadata=metadata.but(labels={**metadata.labels, **labels})),
        )
    return _changed(job, spec=spec)


def _failure_policy(policy: PodFailurePolicy | None) -> PodFailurePolicy | None:
    """A condition is looked for as True unless another status is named."""
    if policy is None:
        return None
    rules = tuple(
        _changed(rule, on_pod_conditions=tuple(_changed(p, status=p.status or "True") for p in rule.on_pod_conditions))
        for rule in policy.rules
    )
    return _changed(policy, rules=rules)


def _cron_job(cron: CronJob) -> CronJob:
    job = cron.spec.job_template
    job = _changed(job, spec=_changed(job.spec, template=_template(job.spec.template)))
    return _changed(cron, spec=_changed(cron.spec, job_template=job))


def _port(port: ServicePort) -> ServicePort:
    return _changed(port, target_port=port.port if port.target_port is None else port.target_port)


def _families(spec: ServiceSpec) -> tuple[str, tuple[str, ...]]:
    """(policy, families): both families unless the file asks for one."""
    if spec.ip_family_policy is None and len(spec.ip_families) == 1:
        return "SingleStack", spec.ip_families
    policy = spec.ip_family_policy or "PreferDualStack"
    if policy == "SingleStack":
        return policy, spec.ip_families or FAMILIES[:1]
    return policy, (*spec.ip_families, *(family for family in FAMILIES if family not in spec.ip_families))


def _service(service: Service) -> Service:
    spec = service.spec
    spec = _changed(spec, ports=tuple(_port(port) for port in spec.ports))
    if spec.session_affinity == "ClientIP" and spec.session_affinity_config is None:
        spec = spec.but(session_affinity_config=SessionAffinityConfig(client_ip=ClientIPConfig()))
    policy, families = _families(spec)
    spec = _changed(
        spec,
        ip_family_policy=policy,
        ip_families=families,
        internal_traffic_policy=spec.internal_traffic_policy or "Cluster",
        cluster_ips=spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ()),
    )
    if spec.type in ("NodePort", "LoadBalancer"):
        spec = _changed(spec, external_traffic_policy=spec.external_traffic_policy or "Cluster")
    return _changed(service, spec=spec)


def _secret(secret: Secret) -> Secret:
    if not secret.string_data:
        return secret
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in secret.string_data.items()}
    return secret.but(data={**secret.data, **encoded}, string_data={})


def _namespace(namespace: Namespace) -> Namespace:
    metadata, status = namespace.metadata, namespace.status
    labels = {**metadata.labels, NAMESPACE_NAME: metadata.name} if metadata.name else metadata.labels
    return _changed(
        namespace,
        metadata=_changed(metadata, labels=labels),
        status=_changed(status, phase=status.phase or "Active"),
    )


def _claim(claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    status = _changed(claim.status, phase=claim.status.phase or "Pending")
    return _changed(claim, spec=_changed(claim.spec, volume_mode=claim.spec.volume_mode or "Filesystem"), status=status)


def _pod_template(template: PodTemplate) -> PodTemplate:
    return _changed(template, template=_template(template.template))


def _replication(rc: ReplicationController) -> ReplicationController:
    """The template's labels stand in for the selector and for the controller's own labels."""
    if rc.spec.template is None:
        return rc
    labels = rc.spec.template.metadata.labels
    spec = _changed(rc.spec, selector=rc.spec.selector or labels, template=_template(rc.spec.template))
    return _changed(rc, spec=spec, metadata=_changed(rc.metadata, labels=rc.metadata.labels or labels))


DEFAULTS: dict[type[KubeObject], Callable[[Any], Any]] = {
    Pod: _pod,
    ReplicaSet: _replica_set,
    Deployment: _deployment,
    StatefulSet: _stateful_set,
    DaemonSet: _daemon_set,
    Job: _job,
    CronJob: _cron_job,
    Service: _service,
    Secret: _secret,
    Namespace: _namespace,
    PersistentVolumeClaim: _claim,
    PodTemplate: _pod_template,
    ReplicationController: _replication,
    CustomResourceDefinition: definitionrules.default,
    RoleBinding: default_binding,
    ClusterRoleBinding: default_binding,
    **OTHER_DEFAULTS,
}
