"""Kubernetes' rules for a container, one small function a rule. Source: pkg/apis/core/validation of Kubernetes."""

import re
from collections.abc import Iterator

from orchestr.api import names
from orchestr.api.container import Container, EnvFromSource, EnvVar
from orchestr.api.errors import Cause
from orchestr.api.probe import Probe
from orchestr.api.quantity import parse
from orchestr.api.rules import at_least, duplicates, identities, one_of, port_number, relative, required, wrong

SIGNALS = {
    *"""SIGABRT SIGALRM SIGBUS SIGCHLD SIGCLD SIGCONT SIGFPE SIGHUP SIGILL SIGINT SIGIO SIGIOT SIGKILL SIGPIPE SIGPOLL
    SIGPROF SIGPWR SIGQUIT SIGSEGV SIGSTKFLT SIGSTOP SIGSYS SIGTERM SIGTRAP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1
    SIGUSR2 SIGVTALRM SIGWINCH SIGXCPU SIGXFSZ SIGRTMIN SIGRTMAX""".split(),  # noqa: SIM905 one line a name is no help
    *(f"SIGRTMIN+{n}" for n in range(1, 16)),
    *(f"SIGRTMAX-{n}" for n in range(1, 15)),
}
FIELD_PATHS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
RESOURCES = ("cpu", "memory", "ephemeral-storage")
HUGE_PAGES = re.compile(r"hugepages-[1-9]\d*[KMG]i")


def container_rules(container: Container, at: str, volumes: set[str]) -> Iterator[Cause]:
    yield from wrong(f"{at}.name", names.dns_label(container.name))
    if not container.image:
        yield required(f"{at}.image", "needs an image (local/host is always there)")
    elif container.image != container.image.strip():
        yield Cause(f"{at}.image", "must not begin or end with a blank")
    yield from one_of(f"{at}.imagePullPolicy", container.image_pull_policy, ("Always", "IfNotPresent", "Never"))
    yield from container_ports(container, at)
    yield from mounts(container, at, volumes)
    yield from resources(container, at)
    for field in ("command", "args"):
        for index, word in enumerate(getattr(container, field)):
            yield from no_nul(word, f"{at}.{field}[{index}]")
    yield from no_nul(container.working_dir, f"{at}.workingDir")
    yield from environment(container, at)
    yield from probes(container, at)
    yield from container_security(container, at)
    if container.lifecycle and container.lifecycle.stop_signal:
        signal = container.lifecycle.stop_signal
        yield from wrong(
            f"{at}.lifecycle.stopSignal", "" if signal in SIGNALS else f"{signal!r} is no signal such as SIGTERM"
        )


def container_ports(container: Container, at: str) -> Iterator[Cause]:
    for index, port in enumerate(container.ports):
        where = f"{at}.ports[{index}]"
        yield from port_number(f"{where}.containerPort", port.container_port)
        yield from port_number(f"{where}.hostPort", port.host_port)
        yield from wrong(f"{where}.name", names.port_name(port.name) if port.name else "")
    yield from duplicates(((f"{at}.ports[{i}].name", p.name or None) for i, p in enumerate(container.ports)), "port")


def mounts(container: Container, at: str, volumes: set[str]) -> Iterator[Cause]:
    for index, mount in enumerate(container.volume_mounts):
        where = f"{at}.volumeMounts[{index}]"
        if mount.name not in volumes:
            known = f" (there are {', '.join(sorted(volumes))})" if volumes else " (the pod has no volumes)"
            yield Cause(f"{where}.name", f"no volume is called {mount.name!r}{known}", "FieldValueNotFound")
        if not mount.mount_path.startswith("/"):
            yield Cause(f"{where}.mountPath", f"must be an absolute path, not {mount.mount_path!r}")
        yield from wrong(f"{where}.subPath", relative(mount.sub_path) if mount.sub_path else "")
    paths = ((f"{at}.volumeMounts[{i}].mountPath", m.mount_path) for i, m in enumerate(container.volume_mounts))
    yield from duplicates(paths, "mount path")


def resources(container: Container, at: str) -> Iterator[Cause]:
    limits, requests = container.resources.limits, container.resources.requests
    for kind, values in (("limits", limits), ("requests", requests)):
        for name, value in values.items():
            where = f"{at}.resources.{kind}" + (f".{name}" if "/" not in name and "." not in name else f"[{name}]")
            yield from resource_name(where, name, kind)
            if parse(value) < 0:
                yield Cause(where, f"must not be negative, not {value}")
            if kind == "requests" and name in limits and parse(value) > parse(limits[name]):
                yield Cause(where, f"must not exceed the limit: {value} is more than {limits[name]}")


def resource_name(where: str, name: str, kind: str) -> Iterator[Cause]:
    if name in RESOURCES or HUGE_PAGES.fullmatch(name) or (name == "orchestr.dev/pids" and kind == "limits"):
        return
    yield Cause(
        where,
        f"not supported: resource {name!r}; there are cpu, memory, ephemeral-storage, hugepages-SIZE",
        "FieldValueNotSupported",
    )


def environment(container: Container, at: str) -> Iterator[Cause]:
    for index, variable in enumerate(container.env):
        yield from variable_rules(variable, f"{at}.env[{index}]")
    for index, source in enumerate(container.env_from):
        yield from env_from(source, f"{at}.envFrom[{index}]")


def no_nul(value: str | None, at: str) -> Iterator[Cause]:
    """No program can be given such a word."""
    if value and "\0" in value:
        yield Cause(at, "must not contain NUL")


def variable_rules(variable: EnvVar, at: str) -> Iterator[Cause]:
    yield from no_nul(variable.value, f"{at}.value")
    yield from wrong(f"{at}.name", names.env_name(variable.name))
    source = variable.value_from
    if source is None:
        return
    if variable.value:
        yield Cause(f"{at}.valueFrom", "cannot be combined with value")
    chosen = [source.config_map_key_ref, source.secret_key_ref, source.field_ref, source.resource_field_ref]
    if sum(part is not None for part in chosen) != 1:
        yield Cause(f"{at}.valueFrom", "needs exactly one of configMapKeyRef, secretKeyRef, fieldRef, resourceFieldRef")
    for field, reference in (("configMapKeyRef", source.config_map_key_ref), ("secretKeyRef", source.secret_key_ref)):
        if reference is not None and not reference.name:
            yield required(f"{at}.valueFrom.{field}.name")
    if source.field_ref is not None:
        yield from field_path(source.field_ref.field_path, f"{at}.valueFrom.fieldRef.fieldPath")
    if source.resource_field_ref is not None:
        allowed = [f"{kind}.{name}" for kind in ("limits", "requests") for name in RESOURCES]
        yield from one_of(f"{at}.valueFrom.resourceFieldRef.resource", source.resource_field_ref.resource, allowed)


def field_path(path: str, at: str) -> Iterator[Cause]:
    if path.endswith("']") and path.startswith(("metadata.labels['", "metadata.annotations['")):
        return
    subscripts = ("metadata.labels['<KEY>']", "metadata.annotations['<KEY>']")
    yield from one_of(at, path, (*FIELD_PATHS, *subscripts))


def env_from(source: EnvFromSource, at: str) -> Iterator[Cause]:
    references = [("configMapRef", source.config_map_ref), ("secretRef", source.secret_ref)]
    given = [(field, reference) for field, reference in references if reference is not None]
    if len(given) != 1:
        yield Cause(at, "needs exactly one of configMapRef, secretRef")
    for field, reference in given:
        if not reference.name:
            yield required(f"{at}.{field}.name")


def probes(container: Container, at: str) -> Iterator[Cause]:
    ports = {port.name for port in container.ports if port.name}
    for field, probe in (
        ("readinessProbe", container.readiness_probe),
        ("livenessProbe", container.liveness_probe),
        ("startupProbe", container.startup_probe),
    ):
        if probe is not None:
            yield from probe_rules(probe, f"{at}.{field}", ports, readiness=field == "readinessProbe")


def probe_rules(probe: Probe, at: str, ports: set[str], *, readiness: bool) -> Iterator[Cause]:
    actions = [("exec", probe.exec), ("httpGet", probe.http_get), ("tcpSocket", probe.tcp_socket)]
    if sum(action is not None for _, action in actions) != 1:
        yield required(at, "needs exactly one of exec, httpGet, tcpSocket")
    if probe.exec is not None and not probe.exec.command:
        yield required(f"{at}.exec.command")
    for field, action in (("httpGet", probe.http_get), ("tcpSocket", probe.tcp_socket)):
        if action is not None:
            yield from probe_port(f"{at}.{field}.port", action.port, ports)
    if probe.http_get is not None:
        yield from one_of(f"{at}.httpGet.scheme", probe.http_get.scheme, ("HTTP", "HTTPS"))
    yield from at_least(f"{at}.initialDelaySeconds", probe.initial_delay_seconds, 0)
    yield from at_least(f"{at}.timeoutSeconds", probe.timeout_seconds, 1)
    yield from at_least(f"{at}.periodSeconds", probe.period_seconds, 1)
    yield from at_least(f"{at}.failureThreshold", probe.failure_threshold, 1)
    yield from at_least(f"{at}.successThreshold", probe.success_threshold, 1)
    yield from at_least(f"{at}.terminationGracePeriodSeconds", probe.termination_grace_period_seconds, 1)
    if not readiness and probe.success_threshold > 1:
        yield Cause(f"{at}.successThreshold", "must be 1 for a liveness or startup probe")
    if readiness and probe.termination_grace_period_seconds is not None:
        yield Cause(f"{at}.terminationGracePeriodSeconds", "must not be set on a readiness probe")


def probe_port(at: str, port: int | str, ports: set[str]) -> Iterator[Cause]:
    if isinstance(port, int):
        yield from port_number(at, port)
    elif port not in ports and not port.isdecimal():
        known = f" (there are {', '.join(sorted(ports))})" if ports else " (the container names no port)"
        yield Cause(at, f"no port is called {port!r}{known}", "FieldValueNotFound")


def container_security(container: Container, at: str) -> Iterator[Cause]:
    context = container.security_context
    if context is None:
        return
    where = f"{at}.securityContext"
    yield from identities(where, {"runAsUser": context.run_as_user, "runAsGroup": context.run_as_group})
    if context.privileged and context.allow_privilege_escalation is False:
        yield Cause(f"{where}.allowPrivilegeEscalation", "cannot be false in a privileged container")
