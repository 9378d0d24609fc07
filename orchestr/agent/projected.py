"""Copied volumes: ServiceAccount tokens, ConfigMaps, Secrets and the pod's own fields as files of one directory.

The directory is mounted read-only, so each file is replaced in place (written beside, then renamed) while containers
read: a token that nears its end is followed by the next one.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from orchestr.agent.env import MissingConfig, Sources, config_bytes, field, secret_bytes
from orchestr.api.core import KeyToPath, Pod
from orchestr.api.volume import DownwardAPIVolumeFile, ProjectedVolumeSource, ServiceAccountTokenProjection
from orchestr.graph import ROOT_CA

CA_KEY = "ca.crt"
RENEW = 0.8  # of a token's life, as the kubelet does
LONGEST = 86400.0  # seconds; a token that lives longer is renewed each day

File = tuple[str, bytes, int]  # path below the volume, content, mode


def files(pod: Pod, source: ProjectedVolumeSource, sources: Sources) -> Iterator[File]:
    """Raises MissingConfig."""
    for each in source.sources:
        mode = source.default_mode
        if (token := each.service_account_token) is not None:
            yield token.path, sources.token(pod, token.audience or "", token.expiration_seconds).encode(), mode
        if (config := each.config_map) is not None:
            found = sources.config_map(config.name)
            content = {CA_KEY: sources.ca()} if config.name == ROOT_CA else config_bytes(found) if found else None
            yield from _chosen("ConfigMap", config.name, content, config.items, config.optional, mode)
        if (secret := each.secret) is not None:
            held = sources.secret(secret.name)
            content = secret_bytes(held) if held else None
            yield from _chosen("Secret", secret.name, content, secret.items, secret.optional, mode)
        for item in each.downward_api.items if each.downward_api else ():
            yield item.path, _field(pod, item).encode(), mode if item.mode is None else item.mode


def _chosen(
    kind: str,
    name: str,
    content: Mapping[str, bytes] | None,
    items: tuple[KeyToPath, ...],
    optional: bool | None,
    mode: int,
) -> Iterator[File]:
    if content is None and not optional:
        raise MissingConfig(f"{kind} {name} does not exist")
    for key in (content or {}) if not items else ():
        yield key, (content or {})[key], mode
    for item in items:
        if item.key in (content or {}):
            yield item.path, (content or {})[item.key], mode if item.mode is None else item.mode
        elif not optional:
            raise MissingConfig(f"{kind} {name} has no key {item.key}")


def _field(pod: Pod, item: DownwardAPIVolumeFile) -> str:
    path = item.field_ref.field_path if item.field_ref else ""
    if path in ("metadata.labels", "metadata.annotations"):
        table = pod.metadata.labels if path == "metadata.labels" else pod.metadata.annotations
        return "".join(f'{key}="{_escaped(value)}"\n' for key, value in sorted(table.items()))
    return field(pod, path, pod.ips, pod.spec.node_name or "", "")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def write(root: str, found: Iterable[File], owner: int, group: int) -> None:
    """Makes or replaces the files, owned by the pod's root, and removes what else is there.

    The directory stays the same one: other containers of the pod have it mounted.
    """
    _folder(root, owner, group)
    found = list(found)
    for path, content, mode in found:
        *folders, name = path.split("/")
        place = root
        for folder in folders:
            place = os.path.join(place, folder)
            _folder(place, owner, group)
        fresh = os.path.join(place, f"..{name}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(content)
            os.fchown(descriptor, owner, owner + group)
            os.fchmod(descriptor, mode | (0o040 if group else 0))
        os.replace(fresh, os.path.join(place, name))
    _prune(root, {path for path, _, _ in found})


def _prune(root: str, kept: set[str]) -> None:
    for folder, folders, names in os.walk(root, topdown=False):
        for name in names:
            if os.path.relpath(os.path.join(folder, name), root) not in kept:
                os.unlink(os.path.join(folder, name))
        for name in folders:
            with suppress(OSError):  # not empty
                os.rmdir(os.path.join(folder, name))


def _folder(path: str, owner: int, group: int) -> None:
    if not os.path.isdir(path):
        os.makedirs(path, mode=0o755)
        os.chmod(path, 0o755)
        os.chown(path, owner, owner + group)


def tokens(source: ProjectedVolumeSource) -> list[ServiceAccountTokenProjection]:
    return [each.service_account_token for each in source.sources if each.service_account_token is not None]


def stale(root: str, source: ProjectedVolumeSource, now: float) -> bool:
    """Whether one of the tokens should be followed by another: its file's time is when it was made."""
    for token in tokens(source):
        try:
            made = os.stat(os.path.join(root, token.path)).st_mtime
        except FileNotFoundError:
            continue
        if now > made + min(RENEW * token.expiration_seconds, LONGEST):
            return True
    return False
