"""Pod (core/v1): what should run, and what does."""

from typing import Annotated, Any, ClassVar, Literal

from orchestr.api.base import Condition, Dict, Items, KubeObject, MicroTime, Model, ObjectMeta, Time
from orchestr.api.container import Container, EphemeralContainer, ResourceRequirements, SeccompProfile
from orchestr.api.quantity import Quantity
from orchestr.api.schema import Kept
from orchestr.api.volume import Volume


class PodDNSConfigOption(Model):
    name: str | None = None
    value: str | None = None


class PodDNSConfig(Model):
    nameservers: Items[str] = ()
    searches: Items[str] = ()
    options: Items[PodDNSConfigOption] = ()


class HostAlias(Model):
    ip: str
    hostnames: Items[str] = ()


class PodSchedulingGate(Model):
    name: str


class PodOS(Model):
    name: Literal["linux"]


class Sysctl(Model):
    name: str
    value: str


class PodSecurityContext(Model):
    fs_group: int | None = None
    fs_group_change_policy: str | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    seccomp_profile: SeccompProfile | None = None
    supplemental_groups: Items[int] = ()
    supplemental_groups_policy: Literal["Merge"] | None = None
    sysctls: Items[Sysctl] = ()


class PodSpec(Model):
    """What this machine runs; the fields typed Any are kept as written and have no effect (see support.NO_EFFECT)."""

    containers: Items[Container] = ()
    init_containers: Items[Container] = ()
    ephemeral_containers: Items[EphemeralContainer] = ()
    volumes: Items[Volume] = ()
    restart_policy: str = "Always"  # Always, OnFailure, Never
    termination_grace_period_seconds: int = 30
    active_deadline_seconds: int | None = None
    node_name: str | None = None
    scheduling_gates: Items[PodSchedulingGate] = ()
    hostname: str | None = None
    subdomain: str | None = None
    host_aliases: Items[HostAlias] = ()
    dns_policy: str = "ClusterFirst"  # ClusterFirst, ClusterFirstWithHostNet, Default, None
    dns_config: PodDNSConfig | None = None
    host_network: bool | None = None
    host_pid: bool | None = None
    host_ipc: bool | None = None
    host_users: bool | None = None  # None: user namespace, unless another field implies the host's
    share_process_namespace: bool | None = None
    security_context: PodSecurityContext = PodSecurityContext()
    os: PodOS | None = None
    scheduler_name: Literal["default-scheduler"] = "default-scheduler"
    enable_service_links: bool | None = None
    service_account_name: str | None = None
    service_account: str | None = None
    automount_service_account_token: bool | None = None
    image_pull_secrets: Annotated[Any, Kept("[@core.v1.LocalObjectReference")] = None
    priority: int | None = None
    priority_class_name: str | None = None
    preemption_policy: str | None = None
    affinity: Annotated[Any, Kept("@core.v1.Affinity")] = None
    node_selector: Dict[str] = {}
    tolerations: Annotated[Any, Kept("[@core.v1.Toleration")] = None
    topology_spread_constraints: Annotated[Any, Kept("[@core.v1.TopologySpreadConstraint")] = None
    overhead: Annotated[Any, Kept("{q")] = None

    @property
    def every_container(self) -> tuple[Container, ...]:
        return (*self.containers, *self.init_containers, *self.ephemeral_containers)


class PodTemplateSpec(Model):
    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()


class ContainerStateWaiting(Model):
    reason: str | None = None  # ContainerCreating, PodInitializing, CrashLoopBackOff, ErrImageNeverPull, ...
    message: str | None = None


class ContainerStateRunning(Model):
    # Finer than Kubernetes writes it, as RFC 3339 allows: who started after whom must show within one second too.
    started_at: MicroTime | None = None


class ContainerStateTerminated(Model):
    exit_code: int
    signal: int | None = None
    reason: str | None = None  # Completed, Error, OOMKilled, ContainerStatusUnknown
    message: str | None = None
    started_at: Time | None = None
    finished_at: Time | None = None
    container_id: str | None = None


class ContainerState(Model):
    """At most one of them; none at all means waiting."""

    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStatus(Model):
    name: str
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    image: str = ""
    image_id: str = ""
    container_id: str | None = None  # "orch://<id>"
    allocated_resources: Dict[Quantity] = {}
    resources: ResourceRequirements | None = None
    stop_signal: str | None = None


class PodIP(Model):
    ip: str


class PodStatus(Model):
    phase: str | None = None  # Pending, Running, Succeeded, Failed, Unknown
    conditions: Items[Condition] = ()
    message: str | None = None
    reason: str | None = None
    observed_generation: int | None = None
    nominated_node_name: str | None = None
    host_ip: str | None = None
    host_ips: Items[PodIP] = ()
    pod_ip: str | None = None
    pod_ips: Items[PodIP] = ()
    start_time: Time | None = None
    init_container_statuses: Items[ContainerStatus] = ()
    container_statuses: Items[ContainerStatus] = ()
    ephemeral_container_statuses: Items[ContainerStatus] = ()
    qos_class: str | None = None

    def condition(self, type: str) -> Condition | None:
        return next((condition for condition in self.conditions if condition.type == type), None)


class Pod(KubeObject):
    PLURAL: ClassVar[str] = "pods"
    SHORT: ClassVar[tuple[str, ...]] = ("po",)

    api_version: str = "v1"
    kind: str = "Pod"
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def finished(self) -> bool:
        return self.status.phase in ("Succeeded", "Failed")

    @property
    def active(self) -> bool:
        """Neither finished nor being deleted."""
        return not self.finished and not self.metadata.deleting

    @property
    def ready(self) -> bool:
        condition = self.status.condition("Ready")
        return condition is not None and condition.status == "True"

    @property
    def ips(self) -> tuple[str, ...]:
        return tuple(address.ip for address in self.status.pod_ips)
