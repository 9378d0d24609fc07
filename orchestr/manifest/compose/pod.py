"""A Compose service as a pod template: container, probes, security, resources."""

import json
import math
import re
from collections.abc import Mapping

from orchestr.api import stack as compose
from orchestr.api.base import ObjectMeta
from orchestr.api.composevalue import seconds
from orchestr.api.core import (
    Capabilities,
    Container,
    ContainerPort,
    EnvVar,
    ExecAction,
    HostAlias,
    Lifecycle,
    PodDNSConfig,
    PodDNSConfigOption,
    PodSecurityContext,
    PodSpec,
    PodTemplateSpec,
    Probe,
    ResourceRequirements,
    SeccompProfile,
    SecurityContext,
    Sysctl,
)
from orchestr.manifest.compose.files import Files

PULL = {"always": "Always", "never": "Never", "missing": "IfNotPresent", "if_not_present": "IfNotPresent"}
USER = "orchestr.dev/user"
INIT = "orchestr.dev/init"
NETWORKS = "orchestr.dev/networks"
LABELS = "orchestr.dev/labels"
PIDS = "orchestr.dev/pids"
VARIABLE = re.compile(r"\$(?=[$(])")


def template(
    service: compose.Service, name: str, labels: Mapping[str, str], annotations: Mapping[str, str], files: Files
) -> PodTemplateSpec:
    """The pod of a service. `annotations` are what needs the whole project: dependencies, digests."""
    return PodTemplateSpec(
        metadata=ObjectMeta(labels=labels, annotations={**_annotations(service), **annotations}),
        spec=PodSpec(
            containers=(_container(service, name, files),),
            volumes=files.volumes,
            restart_policy=restart_policy(service),
            termination_grace_period_seconds=math.ceil(seconds(service.stop_grace_period)),
            hostname=service.hostname,
            host_aliases=_host_aliases(service.extra_hosts),
            dns_config=_dns(service),
            host_network=service.host_network,
            host_pid=service.host_pid,
            host_ipc=service.host_ipc,
            host_users=service.host_users,
            security_context=PodSecurityContext(
                sysctls=tuple(Sysctl(name=key, value=value) for key, value in service.sysctls.items()),
                supplemental_groups=service.group_add,
            ),
        ),
    )


def restart_policy(service: compose.Service) -> str:
    if service.restarting:
        return "Always"
    return "OnFailure" if service.restart.startswith("on-failure") else "Never"


def _annotations(service: compose.Service) -> dict[str, str]:
    user = service.user or ""
    found = {
        **service.annotations,
        NETWORKS: "" if service.host_network else ",".join(service.networks),
        LABELS: json.dumps(service.labels, separators=(",", ":")) if service.labels else "",
        INIT: "true" if service.init else "",
        USER: "" if _numbers(user) else user,
    }
    return {key: value for key, value in found.items() if value or key in service.annotations}


def _dns(service: compose.Service) -> PodDNSConfig | None:
    options = (option.partition(":") for option in service.dns_opt)
    config = PodDNSConfig(
        searches=service.dns_search,
        options=tuple(PodDNSConfigOption(name=name, value=value or None) for name, _, value in options),
    )
    return config if config != PodDNSConfig() else None


def _host_aliases(hosts: Mapping[str, tuple[str, ...]]) -> tuple[HostAlias, ...]:
    by_address: dict[str, list[str]] = {}
    for host, addresses in hosts.items():
        for address in addresses:
            by_address.setdefault(address, []).append(host)
    return tuple(HostAlias(ip=address, hostnames=tuple(names)) for address, names in by_address.items())


def _container(service: compose.Service, name: str, files: Files) -> Container:
    return Container(
        name=name,
        image=service.image,
        image_pull_policy=PULL[service.pull_policy or "missing"],
        command=tuple(literal(word) for word in service.entrypoint),
        args=tuple(literal(word) for word in service.command),
        working_dir=service.working_dir,
        env=tuple(EnvVar(name=key, value=literal(value)) for key, value in service.environment.items()),
        ports=_ports(service),
        volume_mounts=files.mounts,
        resources=_resources(service.deploy.resources),
        **_probes(service.healthcheck),
        lifecycle=Lifecycle(stop_signal=service.stop_signal) if service.stop_signal else None,
        security_context=_security(service),
        stdin=service.stdin_open,
        tty=service.tty,
    )


def literal(text: str) -> str:
    """Kubernetes expands `$(NAME)` in commands and variables and reads `$$` as `$`; Compose does not."""
    return VARIABLE.sub("$$", text) if "$" in text else text


def _ports(service: compose.Service) -> tuple[ContainerPort, ...]:
    found = {(port.target, port.protocol.upper()) for port in _exposed(service)}
    return tuple(ContainerPort(container_port=port, protocol=protocol) for port, protocol in sorted(found))


def _exposed(service: compose.Service) -> tuple[compose.Expose, ...]:
    return (*service.ports, *service.open_ports, *service.expose)


def _resources(wanted: compose.ResourcesSpec) -> ResourceRequirements:
    limits, requests = _quantities(wanted.limits), _quantities(wanted.reservations)
    # A limit reserves nothing in Compose; in Kubernetes a limit without a request is its own request.
    unreserved = {name: "0" for name in ("cpu", "memory") if name in limits and name not in requests}
    return ResourceRequirements(limits=limits, requests=unreserved | requests)


def _quantities(wanted: compose.Resources) -> dict[str, str]:
    found = {"cpu": wanted.cpus, "memory": wanted.memory, PIDS: wanted.pids if (wanted.pids or 0) > 0 else None}
    return {name: str(value) for name, value in found.items() if value not in (None, 0, "0")}


def _probes(check: compose.Healthcheck | None) -> dict[str, Probe]:
    """One handler for all. With `start_interval`, a startup probe asks at that pace and holds back the others."""
    if check is None:
        return {}
    period, start = whole_seconds(check.interval), math.ceil(seconds(check.start_period))
    base = Probe(
        exec=ExecAction(command=check.test),
        period_seconds=period,
        timeout_seconds=whole_seconds(check.timeout),
        failure_threshold=check.retries,
    )
    if check.start_interval is None or not start:
        return {"readiness_probe": base, "liveness_probe": base.but(initial_delay_seconds=start)}
    pace = whole_seconds(check.start_interval)
    patience = math.ceil((start + period * check.retries) / pace)
    startup = base.but(period_seconds=pace, failure_threshold=patience)
    return {"readiness_probe": base, "liveness_probe": base, "startup_probe": startup}


def whole_seconds(duration: str) -> int:
    """Kubernetes counts in seconds: rounded up, at least 1."""
    return max(1, math.ceil(seconds(duration)))


def _security(service: compose.Service) -> SecurityContext | None:
    capabilities = Capabilities(add=_caps(service.cap_add), drop=_caps(service.cap_drop))
    uid, gid = _numbers(service.user or "") or (None, None)
    context = SecurityContext(
        allow_privilege_escalation=None if service.no_new_privileges is None else not service.no_new_privileges,
        capabilities=capabilities if capabilities.add or capabilities.drop else None,
        privileged=service.privileged or None,
        read_only_root_filesystem=service.read_only or None,
        run_as_user=uid,
        run_as_group=gid,
        seccomp_profile=SeccompProfile(type="Unconfined") if service.seccomp_unconfined else None,
    )
    return context if context != SecurityContext() else None


def _caps(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.upper().removeprefix("CAP_") for name in names)


def _numbers(user: str) -> tuple[int, int | None] | None:
    """(uid, gid) of `1000` or `1000:1000`; None when there is a name in it, or nothing."""
    found = re.fullmatch(r"(\d+)(?::(\d+))?", user)
    return (int(found[1]), int(found[2]) if found[2] else None) if found else None
