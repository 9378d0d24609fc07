"""From a Pod to what the runtime takes: SandboxSpec and ContainerSpec. Pure but for volumes.prepare, which it calls."""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from orchestr.agent import etc, volumes
from orchestr.agent.env import environment, expand_all
from orchestr.agent.failure import ConfigFailure
from orchestr.agent.node import Node
from orchestr.agent.resources import linux_resources, oom_score
from orchestr.agent.runs import container_id
from orchestr.api.core import Container, Pod
from orchestr.images.seam import Image
from orchestr.runtime.seam import ContainerSpec, LogSpec, Rootfs, SandboxSpec
from orchestr.runtime.spec import default_spec

NAME = "orchestr.dev/name"  # OCI annotation: what the runtime's messages call the container

ULIMITS = "orchestr.dev/ulimits"  # OCI POSIXRlimit as JSON
DEVICES = "orchestr.dev/devices"  # JSON list of SOURCE or SOURCE:TARGET
LOG = "orchestr.dev/log"  # JSON: maxBytes of a file, maxFiles

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def privileged(pod: Pod) -> bool:
    return any(
        container.security_context is not None and bool(container.security_context.privileged)
        for container in (*pod.spec.init_containers, *pod.spec.containers)
    )


def host_users(pod: Pod) -> bool:
    """Whether the pod lives without a user namespace: by its own word, or because another field implies it."""
    spec = pod.spec
    return spec.host_users is True or bool(spec.host_network or spec.host_pid or spec.host_ipc) or privileged(pod)


def sandbox_spec(node: Node, pod: Pod) -> SandboxSpec:
    uid = pod.metadata.uid or ""
    context = pod.spec.security_context
    return SandboxSpec(
        id=uid,
        hostname=etc.hostname(pod),
        cgroup=f"{node.cgroup}/{uid}",
        host_users=host_users(pod),
        host_network=bool(pod.spec.host_network),
        host_pid=bool(pod.spec.host_pid),
        host_ipc=bool(pod.spec.host_ipc),
        share_pid=bool(pod.spec.share_process_namespace),
        uid_base=node.uid_base(uid),
        sysctls={sysctl.name: sysctl.value for sysctl in context.sysctls},
    )


def owner(node: Node, pod: Pod) -> int:
    """The host's id of root in the pod."""
    return 0 if host_users(pod) else node.uid_base(pod.metadata.uid or "")


def write_etc(node: Node, pod: Pod, ips: Sequence[str]) -> dict[str, str]:
    """Writes hosts, hostname and resolv.conf of the pod to its tmpfs; destination -> source."""
    folder = os.path.join(node.places.tmpfs(pod.metadata.uid or ""), "etc")
    os.makedirs(folder, mode=0o755, exist_ok=True)
    with open("/etc/resolv.conf", encoding="utf-8") if os.path.exists("/etc/resolv.conf") else open(os.devnull) as file:
        machine = file.read()
    texts = {
        "/etc/hosts": etc.hosts(pod, ips, node.dns),  # our name server listens at the gateway
        "/etc/hostname": etc.hostname(pod) + "\n",
        "/etc/resolv.conf": etc.resolv_conf(pod, node.dns, machine),
    }
    files = {}
    for destination, text in texts.items():
        files[destination] = os.path.join(folder, os.path.basename(destination))
        with open(files[destination], "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)  # read by everybody inside, whatever our umask
    return files


def container_spec(
    node: Node, pod: Pod, container: Container, image: Image, attempt: int, ips: Sequence[str], files: Mapping[str, str]
) -> ContainerSpec:
    """Everything that one run needs. Raises ConfigFailure, MissingConfig, VolumeFailure."""
    uid = pod.metadata.uid or ""
    ready = volumes.prepare(pod, node.places, node.sources(pod), owner(node, pod))
    env = environment(pod, container, image.config.env, node.sources(pod), ips, node.name, node.host_ip)
    env = {**node.services.api(pod), **env}
    env.setdefault("PATH", DEFAULT_PATH)
    env.setdefault("HOSTNAME", etc.hostname(pod))
    if container.tty:
        env.setdefault("TERM", "xterm")
    mounted = volumes.mounts(container, ready)
    taken = {mount["destination"] for mount in mounted}
    shown = [
        {"destination": path, "type": "bind", "source": path, "options": ["bind", "ro", "nosuid", "nodev", "idmap"]}
        for path in image.binds
    ]
    own = [
        {
            "destination": destination,
            "type": "bind",
            "source": source,
            "options": ["bind", "ro", "nosuid", "nodev", "noexec"],
        }
        for destination, source in files.items()
        if destination not in taken
    ]
    spec = default_spec(
        args=arguments(container, image, env),
        env=[f"{name}={value}" for name, value in env.items()],
        cwd=container.working_dir or image.config.working_dir or "/",
        mounts=[*shown, *own, *mounted],
        resources=linux_resources(container, pod.metadata.annotations),
        rlimits=noted(pod, ULIMITS, []),
        devices=[device(entry) for entry in noted(pod, DEVICES, [])],
        oom_score_adj=oom_score(pod),
        terminal=bool(container.tty),
        user=user(pod, container, image),
        groups=groups(pod),
        seccomp=not unconfined(pod, container),
        **rights(container),
    )
    spec["annotations"] = {NAME: f"container {container.name} of pod {pod.metadata.name}"}
    context = container.security_context
    return ContainerSpec(
        id=container_id(uid, container.name, attempt),
        sandbox=uid,
        oci=spec,
        rootfs=Rootfs(
            lower=image.lower,
            upper=node.places.upper(uid, container.name, attempt),
            readonly=bool(context and context.read_only_root_filesystem),
        ),
        log=log_spec(node.places.log(pod, container.name, attempt), noted(pod, LOG, {}), bool(container.stdin_once)),
        init=pod.metadata.annotations.get("orchestr.dev/init") == "true",
        tty=bool(container.tty),
        stdin=("once" if container.stdin_once else "open") if container.stdin else "",
    )


def noted(pod: Pod, key: str, default: Any) -> Any:
    """The JSON of an annotation of the same type as `default`, which stands for none. Raises ConfigFailure."""
    text = pod.metadata.annotations.get(key)
    if text is None:
        return default
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if type(found) is not type(default):
        raise ConfigFailure(f"cannot read annotation {key}: {text[:40]!r} is no {type(default).__name__} in JSON")
    return found


def log_spec(directory: str, limits: Mapping[str, Any], hold: bool) -> LogSpec:
    """How much output is kept; what is not said is the default. Raises ConfigFailure."""
    given = {name: limits[key] for name, key in (("max_bytes", "maxBytes"), ("max_files", "maxFiles")) if key in limits}
    if not all(isinstance(value, int) and value > 0 for value in given.values()):
        raise ConfigFailure(f"cannot read annotation {LOG}: its numbers must be above 0")
    return LogSpec(directory, **given, hold=hold)


def device(entry: str) -> dict[str, Any]:
    """A node of the machine as OCI linux.devices wants it. Raises ConfigFailure."""
    source, _, target = str(entry).partition(":")
    try:
        found = os.stat(source)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ConfigFailure(f"cannot give device {source}: {why} (correct devices:)") from error
    kind = "c" if stat.S_ISCHR(found.st_mode) else "b" if stat.S_ISBLK(found.st_mode) else ""
    if not kind:
        raise ConfigFailure(f"cannot give device {source}: it is no device (mount it as a volume)")
    numbers = {"major": os.major(found.st_rdev), "minor": os.minor(found.st_rdev)}
    return {"path": target or source, "type": kind, **numbers, "fileMode": stat.S_IMODE(found.st_mode)}


def arguments(container: Container, image: Image, env: Mapping[str, str]) -> list[str]:
    """command and args over the image's entrypoint and cmd, by Kubernetes' table."""
    if container.command:
        words = [*container.command, *container.args]
    else:
        words = [*image.config.entrypoint, *(container.args or image.config.cmd)]
    if not words:
        raise ConfigFailure(
            f"cannot start container {container.name}: image {container.image} names no command (set command)",
            "CreateContainerError",
        )
    given = {*container.command, *container.args}
    return [expand_all((word,), env)[0] if word in given else word for word in words]


def user(pod: Pod, container: Container, image: Image) -> str:
    """USER[:GROUP]: the pod's word over the image's; names are looked up in the image at launch."""
    own, shared = container.security_context, pod.spec.security_context
    number = own.run_as_user if own and own.run_as_user is not None else shared.run_as_user
    group = own.run_as_group if own and own.run_as_group is not None else shared.run_as_group
    text = pod.metadata.annotations.get("orchestr.dev/user") or image.config.user or "0"
    if number is not None:
        text = str(number)
    if group is not None:
        text = f"{text.partition(':')[0]}:{group}"
    must_not_root = own.run_as_non_root if own and own.run_as_non_root is not None else shared.run_as_non_root
    if must_not_root and text.partition(":")[0] in ("0", "root"):
        raise ConfigFailure(
            f"cannot start container {container.name}: it would run as root and runAsNonRoot is set (set runAsUser)"
        )
    return text


def groups(pod: Pod) -> list[int]:
    """Supplementary groups: the pod's own, and the one that owns its volumes."""
    shared = pod.spec.security_context
    return [*shared.supplemental_groups, *([shared.fs_group] if shared.fs_group is not None else [])]


def rights(container: Container) -> dict[str, Any]:
    """Arguments of default_spec that decide what the process may do. Safe unless the pod says otherwise."""
    context = container.security_context
    privileged = bool(context and context.privileged)
    escalates = bool(context and context.allow_privilege_escalation)
    wanted = context.capabilities if context else None
    return {
        "privileged": privileged,
        "no_new_privs": not (privileged or escalates),
        "cap_add": wanted.add if wanted else (),
        "cap_drop": wanted.drop if wanted else (),
        "readonly_root": bool(context and context.read_only_root_filesystem),
    }


def unconfined(pod: Pod, container: Container) -> bool:
    own = container.security_context.seccomp_profile if container.security_context else None
    profile = own or pod.spec.security_context.seccomp_profile
    return profile is not None and profile.type == "Unconfined"
