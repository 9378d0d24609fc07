"""Kubernetes' rules for a pod's spec, one small function a rule. Source: pkg/apis/core/validation of Kubernetes."""

from collections.abc import Callable, Iterator, Sequence

from orchestr.api import names
from orchestr.api.container import Container
from orchestr.api.containerrules import container_rules
from orchestr.api.errors import Cause
from orchestr.api.placementrules import placement
from orchestr.api.pod import PodSecurityContext, PodSpec
from orchestr.api.rules import at_least, duplicates, identities, one_of, relative, required, wrong
from orchestr.api.volume import KeyToPath, ProjectedVolumeSource, Volume

HOST_PATH_TYPES = ("", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket", "CharDevice", "BlockDevice")


def pod_spec(spec: PodSpec, at: str) -> Iterator[Cause]:
    """Every rule for a pod's spec; `at` is the field path of the spec."""
    if not spec.containers:
        yield required(f"{at}.containers", "needs at least one container")
    volumes = {volume.name for volume in spec.volumes}
    for where, container in _all(spec, at):
        yield from container_rules(container, where, volumes)
    for index, volume in enumerate(spec.volumes):
        yield from volume_rules(volume, f"{at}.volumes[{index}]")
    for rule in RULES:
        yield from rule(spec, at)


def _all(spec: PodSpec, at: str) -> Iterator[tuple[str, Container]]:
    for index, container in enumerate(spec.init_containers):
        yield f"{at}.initContainers[{index}]", container
    for index, container in enumerate(spec.containers):
        yield f"{at}.containers[{index}]", container
    for index, container in enumerate(spec.ephemeral_containers):
        yield f"{at}.ephemeralContainers[{index}]", container


def unique_names(spec: PodSpec, at: str) -> Iterator[Cause]:
    yield from duplicates(((f"{where}.name", c.name) for where, c in _all(spec, at)), "container")
    yield from duplicates(((f"{at}.volumes[{i}].name", v.name) for i, v in enumerate(spec.volumes)), "volume")
    ports = (
        (f"{where}.ports[{index}].hostPort", (port.host_ip or "", port.host_port, port.protocol))
        for where, container in _all(spec, at)
        for index, port in enumerate(container.ports)
        if port.host_port
    )
    yield from duplicates(ports, "host port")


NOT_EPHEMERAL = ("ports", "liveness_probe", "readiness_probe", "startup_probe", "lifecycle", "resize_policy")


def ephemeral(spec: PodSpec, at: str) -> Iterator[Cause]:
    there = {container.name for container in (*spec.containers, *spec.init_containers)}
    for index, container in enumerate(spec.ephemeral_containers):
        where = f"{at}.ephemeralContainers[{index}]"
        fields = [name for name in NOT_EPHEMERAL if getattr(container, name)]
        fields += ["resources"] if container.resources.limits or container.resources.requests else []
        for name in fields:
            alias = type(container).model_fields[name].alias or name
            yield Cause(f"{where}.{alias}", "cannot be set for an Ephemeral Container", "FieldValueForbidden")
        if any(mount.sub_path for mount in container.volume_mounts):
            yield Cause(f"{where}.volumeMounts", "subPath cannot be set for an Ephemeral Container")
        target = container.target_container_name
        if target and target not in there:
            yield Cause(f"{where}.targetContainerName", f"no container is called {target!r}", "FieldValueNotFound")


def no_ephemeral(spec: PodSpec, at: str) -> Iterator[Cause]:
    """Of a pod that is not there yet."""
    if spec.ephemeral_containers:
        text = "can only be added to a pod that is there (kubectl debug, or the sub-resource ephemeralcontainers)"
        yield Cause(f"{at}.ephemeralContainers", text, "FieldValueForbidden")


def enums(spec: PodSpec, at: str) -> Iterator[Cause]:
    yield from one_of(f"{at}.restartPolicy", spec.restart_policy, ("Always", "OnFailure", "Never"))
    policies = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
    yield from one_of(f"{at}.dnsPolicy", spec.dns_policy, policies)
    if spec.dns_policy == "None" and not (spec.dns_config and spec.dns_config.nameservers):
        yield required(f"{at}.dnsConfig.nameservers", "dnsPolicy None needs at least one nameserver")


def times(spec: PodSpec, at: str) -> Iterator[Cause]:
    yield from at_least(f"{at}.terminationGracePeriodSeconds", spec.termination_grace_period_seconds, 0)
    yield from at_least(f"{at}.activeDeadlineSeconds", spec.active_deadline_seconds, 1)


IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")  # these and net.* belong to namespaces


def host_names(spec: PodSpec, at: str) -> Iterator[Cause]:
    for field, value in (("hostname", spec.hostname), ("subdomain", spec.subdomain)):
        yield from wrong(f"{at}.{field}", names.dns_label(value) if value else "")


def host_namespaces(spec: PodSpec, at: str) -> Iterator[Cause]:
    if spec.host_pid and spec.share_process_namespace:
        yield Cause(f"{at}.shareProcessNamespace", "cannot be combined with hostPID")
    if spec.host_users is False:
        for field, value in (
            ("hostNetwork", spec.host_network),
            ("hostPID", spec.host_pid),
            ("hostIPC", spec.host_ipc),
        ):
            if value:
                yield Cause(f"{at}.{field}", "cannot be combined with hostUsers: false")


def security(spec: PodSpec, at: str) -> Iterator[Cause]:
    context: PodSecurityContext = spec.security_context
    where = f"{at}.securityContext"
    ids = {"runAsUser": context.run_as_user, "runAsGroup": context.run_as_group, "fsGroup": context.fs_group}
    yield from identities(where, ids)
    groups = {f"supplementalGroups[{i}]": group for i, group in enumerate(context.supplemental_groups)}
    yield from identities(where, groups)
    yield from one_of(f"{where}.fsGroupChangePolicy", context.fs_group_change_policy, ("Always", "OnRootMismatch"))
    for i, sysctl in enumerate(context.sysctls):
        own = sysctl.name.startswith(IPC_SYSCTLS if spec.host_network else ("net.", *IPC_SYSCTLS))
        if not own or (spec.host_ipc and not sysctl.name.startswith("net.")):
            text = f"cannot set {sysctl.name} for a pod: it is the whole machine's (set it there, or leave it out)"
            yield Cause(f"{where}.sysctls[{i}].name", text)


def gates(spec: PodSpec, at: str) -> Iterator[Cause]:
    named = [(f"{at}.schedulingGates[{i}].name", gate.name) for i, gate in enumerate(spec.scheduling_gates)]
    for field, name in named:
        yield from wrong(field, names.label_key(name))
    yield from duplicates(named, "scheduling gate")


RULES: tuple[Callable[[PodSpec, str], Iterator[Cause]], ...] = (
    unique_names,
    ephemeral,
    enums,
    times,
    host_names,
    host_namespaces,
    security,
    gates,
    placement,
)


def volume_rules(volume: Volume, at: str) -> Iterator[Cause]:
    yield from wrong(f"{at}.name", names.dns_label(volume.name))
    sources = {
        "hostPath": volume.host_path,
        "emptyDir": volume.empty_dir,
        "configMap": volume.config_map,
        "secret": volume.secret,
        "projected": volume.projected,
        "persistentVolumeClaim": volume.persistent_volume_claim,
    }
    given = [field for field, source in sources.items() if source is not None]
    if len(given) > 1:
        yield Cause(at, f"has more than one source: {', '.join(given)}")
    if volume.host_path is not None:
        yield from host_path(volume.host_path.path, volume.host_path.type, f"{at}.hostPath")
    if volume.empty_dir is not None:
        yield from one_of(f"{at}.emptyDir.medium", volume.empty_dir.medium, ("", "Memory"))
        if volume.empty_dir.size_limit is not None and volume.empty_dir.medium != "Memory":
            yield Cause(f"{at}.emptyDir.sizeLimit", "not supported: disk space is not limited (use medium: Memory)")
    for field, source in (("configMap", volume.config_map), ("secret", volume.secret)):
        if source is not None:
            yield from projected(f"{at}.{field}", source.items, source.default_mode)
    if volume.projected is not None:
        yield from projections(volume.projected, f"{at}.projected")
    if volume.config_map is not None and not volume.config_map.name:
        yield required(f"{at}.configMap.name")
    if volume.secret is not None and not volume.secret.secret_name:
        yield required(f"{at}.secret.secretName")
    if volume.persistent_volume_claim is not None and not volume.persistent_volume_claim.claim_name:
        yield required(f"{at}.persistentVolumeClaim.claimName")


def host_path(path: str, type_: str, at: str) -> Iterator[Cause]:
    if not path.startswith("/") or ".." in path.split("/"):
        yield Cause(f"{at}.path", f"must be an absolute path without '..', not {path!r}")
    yield from one_of(f"{at}.type", type_, HOST_PATH_TYPES)


def projections(source: ProjectedVolumeSource, at: str) -> Iterator[Cause]:
    yield from projected(at, (), source.default_mode)
    for index, each in enumerate(source.sources):
        where = f"{at}.sources[{index}]"
        given = [field for field in type(each).model_fields if getattr(each, field) is not None]
        if len(given) != 1:
            yield Cause(where, "must have exactly one source")
        for name, named in (("configMap", each.config_map), ("secret", each.secret)):
            if named is not None:
                yield from projected(f"{where}.{name}", named.items, source.default_mode)
                if not named.name:
                    yield required(f"{where}.{name}.name")
        if (token := each.service_account_token) is not None:
            here = f"{where}.serviceAccountToken"
            yield from wrong(f"{here}.path", relative(token.path) if token.path else "is required")
            if not 600 <= token.expiration_seconds <= 1 << 32:
                yield Cause(f"{here}.expirationSeconds", "must be from 600 (10 minutes) to 2^32")
        for number, item in enumerate(each.downward_api.items if each.downward_api else ()):
            here = f"{where}.downwardAPI.items[{number}]"
            yield from wrong(f"{here}.path", relative(item.path) if item.path else "is required")
            if item.field_ref is None:
                yield required(f"{here}.fieldRef")


def projected(at: str, items: Sequence[KeyToPath], default_mode: int) -> Iterator[Cause]:
    modes = [(f"{at}.defaultMode", default_mode)]
    for index, item in enumerate(items):
        where = f"{at}.items[{index}]"
        yield from wrong(f"{where}.path", relative(item.path) if item.path else "is required")
        if item.mode is not None:
            modes.append((f"{where}.mode", item.mode))
    for field, mode in modes:
        if not 0 <= mode <= 0o777:
            yield Cause(field, f"must be a mode from 0 to 0777 (511), not {mode}")
