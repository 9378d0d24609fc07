"""A container's environment: image, ConfigMaps, Secrets, fields of the pod; then $(NAME) in values and arguments.

Order and rules are Kubernetes': envFrom before env, a later name wins, `$(NAME)` refers to what stands above it and
stays as it is when there is no such name, `$$(NAME)` is the literal text.
"""

import base64
import math
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from orchestr.api.core import ConfigMap, Container, EnvVar, Pod, Secret
from orchestr.api.quantity import parse
from orchestr.api.storage import PersistentVolume

_REFERENCE = re.compile(r"\$(\$|\([-._a-zA-Z][-._a-zA-Z0-9]*\))")


class MissingConfig(Exception):
    """A ConfigMap, Secret or key that the pod needs is not there."""


class Sources(Protocol):
    """Where a pod's references lead, in its own namespace."""

    def config_map(self, name: str) -> ConfigMap | None: ...

    def secret(self, name: str) -> Secret | None: ...

    def volume(self, claim: str) -> PersistentVolume | None:
        """What a claim is bound to; None while it is not."""
        ...

    def token(self, pod: Pod, audience: str, seconds: int) -> str:
        """A token of the pod's ServiceAccount. MissingConfig."""
        ...

    def ca(self) -> bytes:
        """The authority of the API's certificate, PEM."""
        ...


def secret_bytes(secret: Secret) -> dict[str, bytes]:
    """The decoded content of a Secret."""
    content = {key: base64.b64decode(value) for key, value in secret.data.items()}
    content.update({key: value.encode() for key, value in secret.string_data.items()})
    return content


def config_bytes(config: ConfigMap) -> dict[str, bytes]:
    """The content of a ConfigMap, text and binary."""
    content = {key: value.encode() for key, value in config.data.items()}
    content.update({key: base64.b64decode(value) for key, value in config.binary_data.items()})
    return content


def expand(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` replaced from env, `$$` by `$`; an unknown name is left as written."""

    def replace(match: re.Match[str]) -> str:
        token = match.group(1)
        return "$" if token == "$" else env.get(token[1:-1], match.group(0))

    return _REFERENCE.sub(replace, text)


def expand_all(words: Sequence[str], env: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(expand(word, env) for word in words)


def environment(
    pod: Pod,
    container: Container,
    image_env: Sequence[str],
    sources: Sources,
    ips: Sequence[str],
    node: str,
    node_ip: str,
) -> dict[str, str]:
    """Raises MissingConfig with the name of what is missing."""
    env = dict(entry.partition("=")[::2] for entry in image_env)
    for source in container.env_from:
        prefix = source.prefix or ""
        if source.config_map_ref is not None:
            found = sources.config_map(source.config_map_ref.name)
            content = None if found is None else config_bytes(found)
            kind, name, optional = "ConfigMap", source.config_map_ref.name, source.config_map_ref.optional
        elif source.secret_ref is not None:
            secret = sources.secret(source.secret_ref.name)
            content = None if secret is None else secret_bytes(secret)
            kind, name, optional = "Secret", source.secret_ref.name, source.secret_ref.optional
        else:
            continue
        if content is None and not optional:
            raise MissingConfig(f"{kind} {name} does not exist")
        env.update({prefix + key: value.decode(errors="surrogateescape") for key, value in (content or {}).items()})
    for variable in container.env:
        value = _value(pod, container, variable, sources, ips, node, node_ip)
        if value is not None:
            env[variable.name] = expand(value, env) if variable.value_from is None else value
    return env


def _value(
    pod: Pod, container: Container, variable: EnvVar, sources: Sources, ips: Sequence[str], node: str, node_ip: str
) -> str | None:
    source = variable.value_from
    if source is None:
        return variable.value or ""
    if source.config_map_key_ref is not None:
        ref = source.config_map_key_ref
        config = sources.config_map(ref.name)
        return _key("ConfigMap", ref.name, ref.key, ref.optional, None if config is None else config_bytes(config))
    if source.secret_key_ref is not None:
        key = source.secret_key_ref
        secret = sources.secret(key.name)
        return _key("Secret", key.name, key.key, key.optional, None if secret is None else secret_bytes(secret))
    if source.field_ref is not None:
        return field(pod, source.field_ref.field_path, ips, node, node_ip)
    if source.resource_field_ref is not None:
        limit = source.resource_field_ref
        return resource(pod, container, limit.resource, limit.divisor, limit.container_name)
    return ""


def _key(kind: str, name: str, key: str, optional: bool | None, content: Mapping[str, bytes] | None) -> str | None:
    if content is not None and key in content:
        return content[key].decode(errors="surrogateescape")
    if optional:
        return None
    raise MissingConfig(f"{kind} {name} does not exist" if content is None else f"{kind} {name} has no key {key}")


def field(pod: Pod, path: str, ips: Sequence[str], node: str, node_ip: str) -> str:
    """A downward-API field; the paths that Kubernetes allows in env."""
    meta = pod.metadata
    subscript = re.fullmatch(r"metadata\.(labels|annotations)\['([^']*)'\]", path)
    if subscript:
        table = meta.labels if subscript.group(1) == "labels" else meta.annotations
        return table.get(subscript.group(2), "")
    fields = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace or "",
        "metadata.uid": meta.uid or "",
        "spec.nodeName": node,
        "spec.serviceAccountName": getattr(pod.spec, "service_account_name", None) or "default",
        "status.podIP": ips[0] if ips else node_ip,
        "status.podIPs": ",".join(ips) or node_ip,
        "status.hostIP": node_ip,
        "status.hostIPs": node_ip,
    }
    if path not in fields:
        raise MissingConfig(f"fieldPath {path} is not supported (use one of {', '.join(sorted(fields))})")
    return fields[path]


def resource(pod: Pod, container: Container, name: str, divisor: str | None, of: str | None) -> str:
    """`limits.memory` and the like, divided and rounded up; 0 where no limit is set."""
    if of:
        every = pod.spec.every_container
        container = next((other for other in every if other.name == of), container)
    where, _, what = name.partition(".")
    resources = container.resources
    table: Mapping[str, str] = {}
    if resources is not None:
        table = resources.limits if where == "limits" else resources.requests
    amount = parse(table.get(what, "0"))
    unit = parse(divisor or "1") or 1
    return str(math.ceil(amount / unit))
