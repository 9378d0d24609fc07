"""What a build was asked for, and where a stage stands. Frozen; a step gives a new one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestr.images.build.config import environment


@dataclass(frozen=True, slots=True)
class Request:
    """One build."""

    dockerfile: str
    file: str = "Dockerfile"  # what messages call it
    tags: tuple[str, ...] = ()
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    platform: str = ""
    no_cache: bool = False
    pull: bool = False
    network: str = "default"
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    shm: int = 64 << 20

    @property
    def epoch(self) -> int | None:
        """SOURCE_DATE_EPOCH: no time in the image is later."""
        given = self.args.get("SOURCE_DATE_EPOCH", "")
        return int(given) if given.isdigit() else None


@dataclass(frozen=True, slots=True)
class Layer:
    """In the store, or on its way there: then `step` holds its directory and archive."""

    descriptor: Mapping[str, Any]  # of the manifest
    diff_id: str
    directory: str
    archive: str = ""


@dataclass(frozen=True, slots=True)
class State:
    layers: tuple[Layer, ...] = ()  # bottom first
    config: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()
    created: str = ""
    machine: Mapping[str, Any] = field(default_factory=dict)  # architecture, os, ...
    binds: tuple[str, ...] = ()
    args: Mapping[str, str] = field(default_factory=dict)  # ARGs of this stage that have a value
    cmd: bool = False  # this stage said its CMD

    @property
    def lower(self) -> tuple[str, ...]:
        """Top first."""
        return tuple(layer.directory for layer in reversed(self.layers))

    @property
    def scope(self) -> dict[str, str]:
        """Variables of words: ENV wins over ARG."""
        return {**self.args, **environment(self.config)}

    @property
    def cwd(self) -> str:
        return str(self.config.get("WorkingDir") or "/")

    def but(self, **changes: Any) -> "State":
        return replace(self, **changes)
