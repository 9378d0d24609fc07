"""Image manifests and configurations (OCI image-spec, and Docker's schema 2, which is the same but for its names)."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestr.images.seam import ImageConfig, ImageCorrupt

INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
MOST_LAYERS = 500  # overlayfs takes as many lower directories
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def is_index(document: Mapping[str, Any]) -> bool:
    return document.get("mediaType") in INDEXES or ("manifests" in document and "layers" not in document)


def choose(index: Mapping[str, Any], arch: str, what: str) -> dict[str, Any]:
    """The descriptor of an index that fits this machine. Raises ImageCorrupt with the platforms there are."""
    descriptors = [entry for entry in index.get("manifests", []) if isinstance(entry, dict)]
    for entry in descriptors:
        platform = entry.get("platform") or {}
        if (platform.get("os", "linux"), platform.get("architecture", arch)) == ("linux", arch):
            return entry
    have = ", ".join(
        sorted({f"{p.get('os')}/{p.get('architecture')}" for e in descriptors if (p := e.get("platform"))})
    )
    raise ImageCorrupt(f"cannot use {what}: it is not for linux/{arch} (it has {have or 'nothing'})")


def check(manifest: Mapping[str, Any], config: Mapping[str, Any], what: str) -> list[str]:
    """The diff_ids of the layers. Raises ImageCorrupt where the two do not fit."""
    rootfs = config.get("rootfs")
    ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    layers = manifest.get("layers")
    if not isinstance(ids, list) or not isinstance(layers, list) or len(ids) != len(layers):
        raise ImageCorrupt(f"cannot use {what}: its configuration names other layers than its manifest")
    few(layers, what)
    for entry in layers:
        if not (isinstance(entry, dict) and isinstance(entry.get("digest"), str)):
            raise ImageCorrupt(f"cannot use {what}: a layer has no digest")
        if not isinstance(entry.get("size", 0), int):
            raise ImageCorrupt(f"cannot use {what}: the size of a layer is no number")
    return [str(entry) for entry in ids]


def few(layers: object, what: str) -> None:
    """Raises ImageCorrupt for more layers than can lie over each other."""
    if isinstance(layers, list) and len(layers) > MOST_LAYERS:
        raise ImageCorrupt(f"cannot use {what}: {len(layers)} layers, the most is {MOST_LAYERS}")


def image_config(document: Mapping[str, Any]) -> ImageConfig:
    """What running needs of an image configuration; wrong types count as absent. Labels stay data: nothing acts on
    them (CVE-2026-53488)."""
    found = document.get("config")
    config = found if isinstance(found, dict) else {}

    def words(name: str) -> tuple[str, ...]:
        value = config.get(name)
        return tuple(str(item) for item in value) if isinstance(value, list) else ()

    def text(name: str) -> str:
        value = config.get(name)
        return value if isinstance(value, str) else ""

    def keys(name: str) -> tuple[str, ...]:
        value = config.get(name)
        return tuple(sorted(value)) if isinstance(value, dict) else ()

    labels, health = config.get("Labels"), config.get("Healthcheck")
    return ImageConfig(
        entrypoint=words("Entrypoint"),
        cmd=words("Cmd"),
        env=words("Env"),
        working_dir=text("WorkingDir") or "/",
        user=text("User"),
        stop_signal=text("StopSignal"),
        exposed_ports=keys("ExposedPorts"),
        volumes=keys("Volumes"),
        labels={str(k): str(v) for k, v in labels.items()} if isinstance(labels, dict) else {},
        healthcheck=health if isinstance(health, dict) else None,
    )


def created(config: Mapping[str, Any]) -> str:
    """RFC 3339; "" for what is no time."""
    text = config.get("created")
    try:
        return text if isinstance(text, str) and datetime.fromisoformat(text) else ""
    except ValueError:
        return ""


def encode(document: Mapping[str, Any]) -> bytes:
    """Canonical JSON."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
