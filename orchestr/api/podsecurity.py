"""The Pod Security Standards: what a pod may not ask for at the levels `baseline` and `restricted`. Pure.

Checks look at the wire form, so that a field that the models learn later is seen as well.
Source: staging/src/k8s.io/pod-security-admission/policy of Kubernetes.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

PREFIX = "pod-security.kubernetes.io/"
MODES = ("enforce", "audit", "warn")
PRIVILEGED, BASELINE, RESTRICTED = LEVELS = ("privileged", "baseline", "restricted")
LATEST = 1 << 30  # the minor version that `latest` stands for

Wire = Mapping[str, Any]


class Level(NamedTuple):
    """What a namespace asks for in one mode."""

    level: str = PRIVILEGED
    version: str = "latest"

    @property
    def minor(self) -> int:
        return LATEST if self.version == "latest" else int(self.version.removeprefix("v1."))

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"


class Violation(NamedTuple):
    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


def levels(labels: Mapping[str, str]) -> dict[str, Level]:
    """By mode; a label that is malformed counts as restricted, the latest."""
    if not any(key.startswith(PREFIX) for key in labels):
        return {}
    found = {}
    for mode in MODES:
        level, version = labels.get(PREFIX + mode, PRIVILEGED), labels.get(f"{PREFIX}{mode}-version", "latest")
        found[mode] = Level(level if level in LEVELS else RESTRICTED, version if good_version(version) else "latest")
    return found


def good_version(text: str) -> bool:
    minor = text.removeprefix("v1.")
    return text == "latest" or (text != minor and minor.isdecimal() and str(int(minor)) == minor)


def wrong_labels(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(label, what is wrong with it)."""
    for mode in MODES:
        level, version = labels.get(PREFIX + mode), labels.get(f"{PREFIX}{mode}-version")
        if level is not None and level not in LEVELS:
            yield PREFIX + mode, f"Invalid value: {level!r}: must be one of {', '.join(LEVELS)}"
        if version is not None and not good_version(version):
            yield f"{PREFIX}{mode}-version", f'Invalid value: {version!r}: must be "latest" or "v1.x"'


def violations(level: Level, metadata: Wire, spec: Wire) -> list[Violation]:
    """Everything that the level forbids, in the order of the checks' names."""
    if level.level == PRIVILEGED:
        return []
    replaced = {old for check in CHECKS if _counts(check, level) for old in check.replaces}
    chosen = [check for check in CHECKS if _counts(check, level) and check.name not in replaced]
    pod = Pod(metadata, spec)
    return [found for check in chosen if (found := check.run(pod)) is not None]


class Check(NamedTuple):
    name: str
    level: str
    since: int  # the minor version that has it
    run: "Callable[[Pod], Violation | None]"
    replaces: tuple[str, ...] = ()


def _counts(check: Check, level: Level) -> bool:
    return check.since <= level.minor and (check.level == BASELINE or level.level == RESTRICTED)


class Pod:
    def __init__(self, metadata: Wire, spec: Wire) -> None:
        self.annotations: Wire = metadata.get("annotations") or {}
        self.spec = spec
        self.security: Wire = spec.get("securityContext") or {}
        kinds = ("initContainers", "containers", "ephemeralContainers")
        self.containers: list[Wire] = [each for kind in kinds for each in spec.get(kind) or ()]
        self.volumes: list[Wire] = list(spec.get("volumes") or ())

    def secured(self) -> Iterator[tuple[str, Wire]]:
        """(name, securityContext) of each container."""
        for container in self.containers:
            yield str(container.get("name")), container.get("securityContext") or {}


def _quoted(values: Iterable[Any]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def _those(names: Sequence[str], word: str = "container") -> str:
    return f"{word}{'s' if len(names) > 1 else ''} {_quoted(names)}"


def _host_namespaces(pod: Pod) -> Violation | None:
    found = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(field)]
    return Violation("host namespaces", ", ".join(found)) if found else None


def _privileged(pod: Pod) -> Violation | None:
    found = [name for name, security in pod.secured() if security.get("privileged")]
    return (found and Violation("privileged", f"{_those(found)} must not set securityContext.privileged=true")) or None


DEFAULT_CAPABILITIES = {
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"),
    *("NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
}


def _added(pod: Pod, allowed: set[str]) -> tuple[list[str], list[str]]:
    """(containers that add others than these capabilities, those capabilities)."""
    names, added = [], set()
    for name, security in pod.secured():
        if more := set((security.get("capabilities") or {}).get("add") or ()) - allowed:
            names.append(name)
            added |= more
    return names, sorted(added)


def _capabilities_baseline(pod: Pod) -> Violation | None:
    names, added = _added(pod, DEFAULT_CAPABILITIES)
    if not names:
        return None
    text = f"{_those(names)} must not include {_quoted(added)} in securityContext.capabilities.add"
    return Violation("non-default capabilities", text)


def _capabilities_restricted(pod: Pod) -> Violation | None:
    keeping = [
        name
        for name, security in pod.secured()
        if "ALL" not in ((security.get("capabilities") or {}).get("drop") or ())
    ]
    adding, added = _added(pod, {"NET_BIND_SERVICE"})
    told = [f'{_those(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding:
        told.append(f"{_those(adding)} must not include {_quoted(added)} in securityContext.capabilities.add")
    return Violation("unrestricted capabilities", "; ".join(told)) if told else None


def _host_path(pod: Pod) -> Violation | None:
    found = [str(volume.get("name")) for volume in pod.volumes if "hostPath" in volume]
    return Violation("hostPath volumes", _those(found, "volume")) if found else None


VOLUMES = {
    *(
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ),
    "name",
}


def _restricted_volumes(pod: Pod) -> Violation | None:
    bad = {
        str(volume.get("name")): sorted(volume.keys() - VOLUMES) for volume in pod.volumes if volume.keys() - VOLUMES
    }
    if not bad:
        return None
    types, several = sorted({type_ for each in bad.values() for type_ in each}), len(bad) > 1
    verb, word = "use" if several else "uses", "types" if len(types) > 1 else "type"
    return Violation(
        "restricted volume types", f"{_those(list(bad), 'volume')} {verb} restricted volume {word} {_quoted(types)}"
    )


def _host_ports(pod: Pod) -> Violation | None:
    names, ports = [], set()
    for container in pod.containers:
        if found := {port["hostPort"] for port in container.get("ports") or () if port.get("hostPort")}:
            names.append(str(container.get("name")))
            ports |= found
    if not names:
        return None
    verb, word = "use" if len(names) > 1 else "uses", "hostPorts" if len(ports) > 1 else "hostPort"
    return Violation("hostPort", f"{_those(names)} {verb} {word} {', '.join(map(str, sorted(ports)))}")


def _host_probes(pod: Pod) -> Violation | None:
    names, hosts = [], set()
    for container in pod.containers:
        lifecycle = container.get("lifecycle") or {}
        handlers = [container.get(f"{probe}Probe") for probe in ("liveness", "readiness", "startup")]
        handlers += [lifecycle.get("postStart"), lifecycle.get("preStop")]
        actions = [(each or {}).get(action) or {} for each in handlers for action in ("httpGet", "tcpSocket")]
        if found := {str(action["host"]) for action in actions if action.get("host")}:
            names.append(str(container.get("name")))
            hosts |= found
    if not names:
        return None
    verb, word = "use" if len(names) > 1 else "uses", f"probe or lifecycle host{'s' if len(hosts) > 1 else ''}"
    return Violation("probe or lifecycle host", f"{_those(sorted(names))} {verb} {word} {_quoted(sorted(hosts))}")


APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


def _app_armor(pod: Pod) -> Violation | None:
    told = []
    for who, security in (("pod", pod.security), *((f'container "{name}"', s) for name, s in pod.secured())):
        type_ = (security.get("appArmorProfile") or {}).get("type")
        if type_ not in (None, "RuntimeDefault", "Localhost"):
            told.append(f'{who} must not set AppArmor profile type to "{type_}"')
    for key, value in sorted(pod.annotations.items()):
        good = value in ("", "runtime/default") or value.startswith("localhost/")
        if key.startswith(APPARMOR) and not good:
            told.append(f'annotation {key}="{value}"')
    if not told:
        return None
    return Violation(f"forbidden AppArmor profile{'s' if len(told) > 1 else ''}", ", ".join(told))


SELINUX = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def _se_linux(pod: Pod) -> Violation | None:
    told = []
    for who, security in (("pod", pod.security), *((f'container "{name}"', s) for name, s in pod.secured())):
        options = security.get("seLinuxOptions") or {}
        if options.get("type") not in SELINUX or options.get("user") or options.get("role"):
            told.append(who)
    return (
        Violation("seLinuxOptions", f"{', '.join(told)} set forbidden securityContext.seLinuxOptions") if told else None
    )


def _proc_mount(pod: Pod) -> Violation | None:
    found = [(n, s["procMount"]) for n, s in pod.secured() if s.get("procMount") not in (None, "Default")]
    if not found:
        return None
    values = _quoted(sorted({value for _, value in found}))
    return Violation("procMount", f"{_those([n for n, _ in found])} must not set securityContext.procMount to {values}")


def _seccomp_type(security: Wire) -> str | None:
    return (security.get("seccompProfile") or {}).get("type")


def _explicit_seccomp(pod: Pod, bad: Callable[[str | None], bool]) -> Violation | None:
    """A violation where the pod or containers set a type that is bad."""
    names = [name for name, security in pod.secured() if bad(_seccomp_type(security))]
    setters = ["pod"] if bad(_seccomp_type(pod.security)) else []
    setters += [_those(names)] if names else []
    if not setters:
        return None
    values = {_seccomp_type(security) for security in (pod.security, *(s for _, s in pod.secured()))}
    told = _quoted(sorted(value for value in values if value is not None and bad(value)))
    text = f"{' and '.join(setters)} must not set securityContext.seccompProfile.type to {told}"
    return Violation("seccompProfile", text)


def _seccomp_baseline(pod: Pod) -> Violation | None:
    return _explicit_seccomp(pod, lambda type_: type_ not in (None, "RuntimeDefault", "Localhost"))


def _seccomp_restricted(pod: Pod) -> Violation | None:
    if (found := _seccomp_baseline(pod)) is not None:
        return found
    if _seccomp_type(pod.security) is not None:
        return None
    lacking = [name for name, security in pod.secured() if _seccomp_type(security) is None]
    text = f'pod or {_those(lacking)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Violation("seccompProfile", text) if lacking else None


SYSCTLS = {
    *("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start"),
    *("net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range"),
}
SYSCTLS_27 = {*SYSCTLS, "net.ipv4.ip_local_reserved_ports"}
SYSCTLS_29 = {
    *SYSCTLS_27,
    *("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl"),
    "net.ipv4.tcp_keepalive_probes",
}
SYSCTLS_32 = {*SYSCTLS_29, "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}


def _sysctls(allowed: set[str]) -> Callable[[Pod], Violation | None]:
    def check(pod: Pod) -> Violation | None:
        found = [each["name"] for each in pod.security.get("sysctls") or () if each.get("name") not in allowed]
        return Violation("forbidden sysctls", ", ".join(found)) if found else None

    return check


def _host_process(pod: Pod) -> Violation | None:
    contexts = [pod.security, *(security for _, security in pod.secured())]
    bad = any((each.get("windowsOptions") or {}).get("hostProcess") for each in contexts)
    return Violation("hostProcess", "must not set securityContext.windowsOptions.hostProcess=true") if bad else None


RESOURCES, USER = "orchestr.dev/resources", "orchestr.dev/user"  # annotations of ours that say as much as fields


def _devices(pod: Pod) -> Violation | None:
    """Ours: the annotation with OCI's resources may open devices."""
    try:
        given = json.loads(pod.annotations.get(RESOURCES) or "{}")
    except ValueError:
        return None  # it is refused elsewhere
    texts = [given] if isinstance(given, dict) else []
    texts += [each for each in given.values() if isinstance(each, dict)] if texts else []
    if any(each.get("devices") for each in texts):
        return Violation("devices", f"annotation {RESOURCES} must not have devices")
    return None


def _escalation(pod: Pod) -> Violation | None:
    found = [name for name, security in pod.secured() if security.get("allowPrivilegeEscalation") is not False]
    text = f"{_those(found)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", text) if found else None


def _non_root(pod: Pod) -> Violation | None:
    whole = pod.security.get("runAsNonRoot")
    explicit = [name for name, security in pod.secured() if security.get("runAsNonRoot") is False]
    setters = ["pod"] if whole is False else []
    setters += [_those(explicit)] if explicit else []
    if setters:
        text = f"{' and '.join(setters)} must not set securityContext.runAsNonRoot=false"
        return Violation("runAsNonRoot != true", text)
    if whole:
        return None
    lacking = [name for name, security in pod.secured() if security.get("runAsNonRoot") is None]
    text = f"pod or {_those(lacking)} must set securityContext.runAsNonRoot=true"
    return Violation("runAsNonRoot != true", text) if lacking else None


def _root_user(pod: Pod) -> Violation | None:
    explicit = [name for name, security in pod.secured() if security.get("runAsUser") == 0]
    setters = ["pod"] if pod.security.get("runAsUser") == 0 else []
    setters += [_those(explicit)] if explicit else []
    if str(pod.annotations.get(USER, "")).partition(":")[0] in ("root", "0"):
        setters.append(f"annotation {USER}")
    return Violation("runAsUser=0", f"{' and '.join(setters)} must not set runAsUser=0") if setters else None


CHECKS = (
    Check("appArmorProfile", BASELINE, 0, _app_armor),
    Check("capabilities_baseline", BASELINE, 0, _capabilities_baseline),
    Check("devices", BASELINE, 0, _devices),
    Check("hostNamespaces", BASELINE, 0, _host_namespaces),
    Check("hostPathVolumes", BASELINE, 0, _host_path),
    Check("hostPorts", BASELINE, 0, _host_ports),
    Check("hostProbesAndHostLifecycle", BASELINE, 34, _host_probes),
    Check("privileged", BASELINE, 0, _privileged),
    Check("procMount", BASELINE, 0, _proc_mount),
    Check("seLinuxOptions", BASELINE, 0, _se_linux),
    Check("seccompProfile_baseline", BASELINE, 0, _seccomp_baseline),
    Check("sysctls", BASELINE, 0, _sysctls(SYSCTLS)),
    Check("sysctls_27", BASELINE, 27, _sysctls(SYSCTLS_27), ("sysctls",)),
    Check("sysctls_29", BASELINE, 29, _sysctls(SYSCTLS_29), ("sysctls", "sysctls_27")),
    Check("sysctls_32", BASELINE, 32, _sysctls(SYSCTLS_32), ("sysctls", "sysctls_27", "sysctls_29")),
    Check("windowsHostProcess", BASELINE, 0, _host_process),
    Check("allowPrivilegeEscalation", RESTRICTED, 8, _escalation),
    Check("capabilities_restricted", RESTRICTED, 22, _capabilities_restricted, ("capabilities_baseline",)),
    Check("restrictedVolumes", RESTRICTED, 0, _restricted_volumes, ("hostPathVolumes",)),
    Check("runAsNonRoot", RESTRICTED, 0, _non_root),
    Check("runAsUser", RESTRICTED, 23, _root_user),
    Check("seccompProfile_restricted", RESTRICTED, 19, _seccomp_restricted, ("seccompProfile_baseline",)),
)
