"""Stack (orchestr.dev/v1): a Compose project as an object.

The spec is the Compose model in its long form, with Compose's own key spelling on the wire. What needs the caller's
machine is already done: variables are filled in, env files are part of `environment`, relative paths are absolute,
inactive profiles are gone, and a config carries its content. A secret's content never is in a Stack; it has a digest.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from orchestr.api.base import Condition, Dict, Items, KubeObject, Model
from orchestr.api.composevalue import cpus, restarts, seconds, size


def _duration(text: str) -> str:
    seconds(text)
    return text


Duration = Annotated[str, AfterValidator(_duration)]
Size = Annotated[int, BeforeValidator(size)]  # bytes
Cpus = Annotated[str, BeforeValidator(cpus)]


class ComposeModel(Model):
    """Wire names are the attribute names: Compose writes snake_case."""

    model_config = ConfigDict(alias_generator=None)


class Expose(ComposeModel):
    """A port that other services reach by the service's address."""

    target: int = Field(ge=1, le=65535)
    protocol: Literal["tcp", "udp"] = "tcp"


class Port(Expose):
    """A port that the machine publishes too."""

    published: int = Field(ge=1, le=65535)
    host_ip: str = Field(default="", exclude_if=lambda value: not value)
    name: str | None = None
    app_protocol: str | None = None


class BindOptions(ComposeModel):
    create_host_path: bool = True


class Mount(ComposeModel):
    """One entry of `volumes`. A volume without a source is anonymous."""

    type: Literal["volume", "bind", "tmpfs"]
    target: str
    source: str | None = None  # volume: key of Stack.volumes; bind: absolute path on the machine
    read_only: bool | None = None
    bind: BindOptions | None = None
    subpath: str | None = None
    size: Size | None = None  # of a tmpfs


class Attachment(ComposeModel):
    """One network of a service."""

    aliases: Items[str] = ()


class FileMount(ComposeModel):
    """One config or secret of a service, as a file."""

    source: str
    target: str  # absolute
    mode: int = 0o444


class Dependency(ComposeModel):
    condition: Literal["service_started", "service_healthy", "service_completed_successfully"] = "service_started"
    required: bool = True
    restart: bool = False


class Healthcheck(ComposeModel):
    test: Items[str]  # the command to run; a shell form has its shell in front
    interval: Duration = "30s"
    timeout: Duration = "30s"
    retries: int = Field(default=3, ge=1)
    start_period: Duration = "0s"
    start_interval: Duration | None = None


class Resources(ComposeModel):
    cpus: Cpus | None = None
    memory: Size | None = None
    pids: int | None = None


class ResourcesSpec(ComposeModel):
    limits: Resources = Resources()
    reservations: Resources = Resources()


class UpdateConfig(ComposeModel):
    parallelism: int = Field(default=1, ge=0)  # 0: all at once
    delay: Duration = "0s"
    monitor: Duration = "0s"
    order: Literal["start-first", "stop-first"] | None = None  # None: by what the service has
    failure_action: Literal["pause", "rollback"] = "pause"


class Deploy(ComposeModel):
    replicas: int | None = Field(default=None, ge=0)
    resources: ResourcesSpec = ResourcesSpec()
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    labels: Dict[str] = {}


class Service(ComposeModel):
    image: str
    entrypoint: Items[str] = ()
    command: Items[str] = ()
    environment: Dict[str] = {}
    working_dir: str | None = None
    user: str | None = None
    ports: Items[Port] = ()
    open_ports: Items[Expose] = ()  # published too, on ports that the machine chooses
    expose: Items[Expose] = ()
    volumes: Items[Mount] = ()
    networks: Dict[Attachment] = {}
    secrets: Items[FileMount] = ()
    configs: Items[FileMount] = ()
    depends_on: Dict[Dependency] = {}
    healthcheck: Healthcheck | None = None
    restart: str = Field(default="no", pattern=r"^(no|always|unless-stopped|on-failure(:\d+)?)$")
    stop_signal: str | None = None
    stop_grace_period: Duration = "10s"
    init: bool | None = None
    deploy: Deploy = Deploy()
    container_name: str | None = None
    hostname: str | None = None
    labels: Dict[str] = {}
    annotations: Dict[str] = {}
    read_only: bool | None = None
    cap_add: Items[str] = ()
    cap_drop: Items[str] = ()
    privileged: bool | None = None
    no_new_privileges: bool | None = None  # Compose: security_opt
    seccomp_unconfined: bool | None = None  # Compose: security_opt
    host_network: bool | None = None  # Compose: network_mode, pid, ipc, userns_mode
    host_pid: bool | None = None
    host_ipc: bool | None = None
    host_users: bool | None = None
    group_add: Items[int] = ()
    dns_search: Items[str] = ()
    dns_opt: Items[str] = ()
    tty: bool | None = None
    stdin_open: bool | None = None
    extra_hosts: Dict[tuple[str, ...]] = {}  # host name -> addresses
    pull_policy: Literal["always", "never", "missing", "if_not_present"] | None = None
    shm_size: Size | None = None
    sysctls: Dict[str] = {}

    @property
    def replicas(self) -> int:
        return 1 if self.deploy.replicas is None else self.deploy.replicas

    @property
    def desired(self) -> int:
        """Pods that should be there: a Job has one."""
        return self.replicas if self.restarting else 1

    @property
    def restarting(self) -> bool:
        """Whether it is a Deployment, whose pods always restart, and not a Job."""
        return restarts(self.restart, deployed=(self.deploy.replicas, self.deploy.update_config) != (None, None))


class Network(ComposeModel):
    name: str | None = None


class VolumeClaim(ComposeModel):
    """A named volume."""

    name: str | None = None
    labels: Dict[str] = {}


class Secret(ComposeModel):
    """Where a secret's content is: key `key` of Secret object `name`; the digest tells that it changed."""

    name: str
    key: str
    digest: str


class Config(ComposeModel):
    """A config's content: text, or base64 where it is no text."""

    content: str | None = None
    base64: str | None = None

    def canonical_content(self) -> str:
        """What tells one content from another."""
        return f"base64:{self.base64}" if self.base64 is not None else f"text:{self.content or ''}"


class StackSpec(ComposeModel):
    services: Dict[Service] = {}
    networks: Dict[Network] = {}
    volumes: Dict[VolumeClaim] = {}
    secrets: Dict[Secret] = {}
    configs: Dict[Config] = {}
    stopped: Items[str] = ()  # services that are to have no pods until they are started; `orch stop` writes it


class ServiceStatus(Model):
    """One service of the stack, as `orch status` prints it."""

    name: str  # as in the Compose file
    workload: str  # "deployment/web"
    ready: int = 0
    desired: int = 0
    restarts: int = 0
    phase: str = "Pending"  # Pending, Progressing, Running, Complete, Failed, Stopped
    reason: str | None = None
    message: str | None = None
    next: str | None = None  # what happens next, and when


class StackStatus(Model):
    observed_generation: int | None = None
    services: Items[ServiceStatus] = ()
    conditions: Items[Condition] = ()  # Ready, Failed


class Stack(KubeObject):
    PLURAL: ClassVar[str] = "stacks"
    GROUP: ClassVar[str] = "orchestr.dev"
    SHORT: ClassVar[tuple[str, ...]] = ("st",)

    api_version: str = "orchestr.dev/v1"
    kind: str = "Stack"
    spec: StackSpec = StackSpec()
    status: StackStatus = StackStatus()
