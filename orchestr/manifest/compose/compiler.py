"""Stack -> objects: one workload and one Service for each Compose service, claims, ConfigMaps. Pure.

The stack controller, `orch diff`, `orch graph -f` and `orch convert` all call `compile`. Children live in the Stack's
own namespace; owner references are the controller's business, and claims never get one.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from orchestr.api import stack as compose
from orchestr.api.apps import Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment
from orchestr.api.base import KubeObject, ObjectMeta
from orchestr.api.batch import Job, JobSpec
from orchestr.api.composevalue import seconds
from orchestr.api.core import (
    ConfigMap,
    LabelSelector,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PodTemplateSpec,
    Service,
    ServicePort,
    ServiceSpec,
    VolumeResourceRequirements,
)
from orchestr.api.labels import SERVICE, STACK
from orchestr.manifest.compose.files import FILE, files
from orchestr.manifest.compose.names import LIMIT
from orchestr.manifest.compose.names import labels as dns_labels
from orchestr.manifest.compose.pod import LABELS, template

DEPENDS_ON = "orchestr.dev/depends-on"
CONFIG_DIGEST = "orchestr.dev/config-digest"
PUBLISH = "orchestr.dev/publish"
ALIASES = "orchestr.dev/aliases"
ANY_PORT = "orchestr.dev/any-port"
VOLUME = "orchestr.dev/volume"
ROLLBACK = "orchestr.dev/rollback"  # of a Deployment: how it goes back by itself, read by its controller
PUBLISHED = "-published"  # end of the name of the Service with the ports that the machine chooses
FOREVER = 2**31 - 1  # backoffLimit of `restart: on-failure` without a number


@dataclass(frozen=True)
class Names:
    """Compose's names -> names of the objects."""

    services: Mapping[str, str]
    claims: Mapping[str, str]
    configs: Mapping[str, str]


def names(spec: compose.StackSpec) -> Names:
    claims = {key: (volume.name or key) for key, volume in spec.volumes.items()}
    labelled = dns_labels(claims.values())
    return Names(
        dns_labels(spec.services), {key: labelled[name] for key, name in claims.items()}, dns_labels(spec.configs)
    )


def compile(stack: compose.Stack) -> list[KubeObject]:
    """What the stack consists of, in the order in which it is best created. The same stack gives equal objects."""
    spec, found = stack.spec, names(stack.spec)
    project = _Project(stack, found)
    return [
        *(project.config_map(key) for key in spec.configs),
        *(project.claim(key) for key in spec.volumes),
        *(project.service(key) for key in spec.services),
        *(project.open_ports(key) for key, service in spec.services.items() if service.open_ports),
        *(project.workload(key) for key in spec.services if not project.ended(key)),
    ]


@dataclass(frozen=True)
class _Project:
    stack: compose.Stack
    names: Names

    def meta(self, name: str, service: str | None = None, annotations: Mapping[str, str] | None = None) -> ObjectMeta:
        labels = {STACK: self.stack.metadata.name} | ({SERVICE: service} if service else {})
        return ObjectMeta(
            name=name, namespace=self.stack.metadata.namespace, labels=labels, annotations=annotations or {}
        )

    def config_map(self, key: str) -> ConfigMap:
        config, meta = self.stack.spec.configs[key], self.meta(self.names.configs[key])
        if config.base64 is not None:
            return ConfigMap(metadata=meta, binary_data={FILE: config.base64})
        return ConfigMap(metadata=meta, data={FILE: config.content or ""})

    def claim(self, key: str) -> PersistentVolumeClaim:
        volume = self.stack.spec.volumes[key]
        return PersistentVolumeClaim(
            metadata=self.meta(self.names.claims[key], annotations={VOLUME: key} | _labels(volume.labels)),
            spec=PersistentVolumeClaimSpec(
                access_modes=("ReadWriteOnce",),
                # Kubernetes wants a number; a directory of this machine is not limited by it.
                resources=VolumeResourceRequirements(requests={"storage": "1Gi"}),
            ),
        )

    def service(self, key: str) -> Service:
        service, name = self.stack.spec.services[key], self.names.services[key]
        ports = _ports(service)
        annotations = {PUBLISH: _publish(service), ALIASES: ",".join(_aliases(service, key, name))}
        if ports:  # peers on a Compose network reach what a container listens on, listed or not
            annotations[ANY_PORT] = "true"
        return Service(
            metadata=self.meta(name, name, {k: v for k, v in annotations.items() if v}),
            spec=ServiceSpec(selector=self._selector(name), ports=ports, cluster_ip=None if ports else "None"),
        )

    def open_ports(self, key: str) -> Service:
        """A Service of its own for the ports that the machine chooses: a NodePort Service publishes all that it has."""
        service, name = self.stack.spec.services[key], self.names.services[key]
        own = f"{name[: LIMIT - len(PUBLISHED)]}{PUBLISHED}"
        while own in self.names.services.values():
            own = f"x{own[: LIMIT - 1]}"
        ports = {
            (port.target, port.protocol): ServicePort(
                name=f"{port.protocol}-{port.target}",
                port=port.target,
                protocol=port.protocol.upper(),
                target_port=port.target,
            )
            for port in service.open_ports
        }
        return Service(
            metadata=self.meta(own, name),
            spec=ServiceSpec(selector=self._selector(name), ports=tuple(ports.values()), type="NodePort"),
        )

    def _selector(self, name: str) -> dict[str, str]:
        return {STACK: self.stack.metadata.name, SERVICE: name}

    def ended(self, key: str) -> bool:
        """Whether it is stopped and a Job, which is not there then; a Deployment has no pods."""
        return key in self.stack.spec.stopped and not self.stack.spec.services[key].restarting

    def workload(self, key: str) -> Deployment | Job:
        service, name = self.stack.spec.services[key], self.names.services[key]
        meta = self.meta(name, name, _labels(service.deploy.labels))
        pod = self._template(key)
        if not service.restarting:
            return Job(metadata=meta, spec=JobSpec(template=pod, backoff_limit=_backoff_limit(service.restart)))
        update = service.deploy.update_config or compose.UpdateConfig()
        if update.failure_action == "rollback":
            meta = meta.but(annotations={**meta.annotations, ROLLBACK: _rollback(service)})
        return Deployment(
            metadata=meta,
            spec=DeploymentSpec(
                selector=LabelSelector(match_labels=self._selector(name)),
                template=pod,
                replicas=0 if key in self.stack.spec.stopped else service.replicas,
                strategy=strategy(service, update),
                min_ready_seconds=_settled(update),
            ),
        )

    def _template(self, key: str) -> PodTemplateSpec:
        service, name = self.stack.spec.services[key], self.names.services[key]
        annotations = {DEPENDS_ON: self._depends_on(service), CONFIG_DIGEST: self._digest(service)}
        return template(
            service,
            name,
            self._selector(name),
            {k: v for k, v in annotations.items() if v},
            files(service, self.names.claims, self.stack.spec.secrets, self.names.configs),
        )

    def _depends_on(self, service: compose.Service) -> str:
        entries = [
            {"name": self.ref(target), **dependency.wire()}
            for target, dependency in service.depends_on.items()
            if target in self.names.services
        ]
        return json.dumps(entries, separators=(",", ":")) if entries else ""

    def ref(self, key: str) -> str:
        kind = "deployment" if self.stack.spec.services[key].restarting else "job"
        return f"{kind}/{self.names.services[key]}"

    def _digest(self, service: compose.Service) -> str:
        """Changes when the content of a mounted config or secret does, so that the pods are rolled."""
        contents = [
            *(self.stack.spec.configs[use.source].canonical_content() for use in service.configs),
            *(self.stack.spec.secrets[use.source].digest for use in service.secrets),
        ]
        return hashlib.sha256("\0".join(contents).encode()).hexdigest()[:16] if contents else ""


def _backoff_limit(restart: str) -> int:
    policy, _, attempts = restart.partition(":")
    return 0 if policy == "no" else int(attempts) if attempts else FOREVER


def _settled(update: compose.UpdateConfig) -> int:
    """Seconds that a container must be well before the next is replaced."""
    return math.ceil(max(seconds(update.delay), seconds(update.monitor)))


def _rollback(service: compose.Service) -> str:
    """How a failed update goes back: as rollback_config says, else as updates go."""
    back = service.deploy.rollback_config or service.deploy.update_config or compose.UpdateConfig()
    how = {"strategy": strategy(service, back).wire(), "minReadySeconds": _settled(back)}
    return json.dumps(how, separators=(",", ":"))


def strategy(service: compose.Service, update: compose.UpdateConfig) -> DeploymentStrategy:
    """How a new version replaces the old one.

    Without a stated order: start-first where a healthcheck tells when the new one is good and no volume is shared by
    both, else stop-first. Stop-first with one replica is Recreate, which waits until the old container has ended.
    """
    writes = any(mount.type != "tmpfs" and mount.source and not mount.read_only for mount in service.volumes)
    order = update.order or ("start-first" if service.healthcheck and not writes else "stop-first")
    many: int | str = update.parallelism or "100%"
    if order == "start-first":
        return DeploymentStrategy(rolling_update=RollingUpdateDeployment(max_surge=many, max_unavailable=0))
    if not update.parallelism or update.parallelism >= service.replicas:
        return DeploymentStrategy(type="Recreate")
    return DeploymentStrategy(rolling_update=RollingUpdateDeployment(max_surge=0, max_unavailable=many))


def _ports(service: compose.Service) -> tuple[ServicePort, ...]:
    found: dict[tuple[int, str], ServicePort] = {}
    every: tuple[compose.Expose, ...] = (*service.ports, *service.open_ports, *service.expose)
    for port in every:
        named = port.name if isinstance(port, compose.Port) else None
        app = port.app_protocol if isinstance(port, compose.Port) else None
        found.setdefault(
            (port.target, port.protocol),
            ServicePort(
                name=named or f"{port.protocol}-{port.target}",
                port=port.target,
                protocol=port.protocol.upper(),
                target_port=port.target,
                app_protocol=app,
            ),
        )
    return tuple(found.values())


def _publish(service: compose.Service) -> str:
    entries = [
        {"hostIP": port.host_ip, "hostPort": port.published, "port": port.target, "protocol": port.protocol.upper()}
        for port in service.ports
    ]
    return json.dumps(entries, separators=(",", ":")) if entries else ""


def _aliases(service: compose.Service, key: str, name: str) -> list[str]:
    """More names for the service: Compose's own spelling, the container's name, the networks' aliases."""
    wanted = [key, service.container_name or "", *(alias for use in service.networks.values() for alias in use.aliases)]
    return list(dict.fromkeys(alias for alias in wanted if alias and alias != name))


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {LABELS: json.dumps(dict(labels), separators=(",", ":"))} if labels else {}
