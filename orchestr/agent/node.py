"""What a pod worker shares with all others: the seams, the places, the informers, id ranges and addresses."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import trio

from orchestr.agent.addresses import Addresses
from orchestr.agent.env import MissingConfig, Sources
from orchestr.agent.places import Places
from orchestr.api.base import Key, KubeObject
from orchestr.api.core import ConfigMap, PersistentVolumeClaim, Pod, Secret
from orchestr.api.storage import PersistentVolume
from orchestr.engine import Cluster
from orchestr.engine.informers import Informers
from orchestr.images.seam import ContentStore, Registry
from orchestr.network.seam import Dataplane
from orchestr.runtime.seam import Runtime

log = logging.getLogger("orch.agent")


async def _at_once(_pod: Pod) -> None:
    await trio.lowlevel.checkpoint()


class Recorder(Protocol):
    """Writes Event objects; never blocks, never fails."""

    def record(
        self, obj: KubeObject, reason: str, message: str, *, warning: bool = False, component: str = "agent"
    ) -> None: ...


@dataclass(slots=True)
class Node:
    """One machine's share of everything."""

    name: str
    cluster: Cluster
    informers: Informers
    recorder: Recorder
    runtime: Runtime
    dataplane: Dataplane
    images: ContentStore
    registry: Registry
    places: Places
    addresses: Addresses
    cgroup: str
    host_ip: str
    dns: tuple[str, ...]
    clock: Callable[[], float]  # seconds since the epoch
    random: Callable[[], float]
    services: "ServicesView"
    identity: "Identity"
    unmet: Callable[[Pod], list[str]] = field(default=lambda pod: [])
    routed: Callable[[Pod], Awaitable[None]] = field(default=_at_once)

    def sources(self, pod: Pod) -> Sources:
        return _Sources(self.informers, pod.metadata.namespace or "", self.identity)

    def uid_base(self, uid: str) -> int:
        return self.addresses.uid_base(uid)


class Identity(Protocol):
    """Who pods are towards the API."""

    def token(self, pod: Pod, audience: str, seconds: int) -> str:
        """Raises MissingConfig."""
        ...

    def ca(self) -> bytes: ...


class NoIdentity:
    """Of an agent without an API to speak to."""

    def token(self, pod: Pod, audience: str, seconds: int) -> str:
        raise MissingConfig("tokens are not supported: there is no API server")

    def ca(self) -> bytes:
        raise MissingConfig("tokens are not supported: there is no API server")


class ServicesView(Protocol):
    """What a pod worker asks of the services."""

    def poke(self) -> None:
        """A link came or went."""
        ...

    async def policed(self) -> None:
        """Returns when every NetworkPolicy that there is now is in force."""
        ...

    def api(self, pod: Pod) -> dict[str, str]:
        """The variables by which a program in the pod finds the API."""
        ...

    async def out_of_service(self, pod: Pod) -> None:
        """Returns when no service in the dataplane has the pod as a backend any more."""
        ...


class _Sources:
    """ConfigMaps, Secrets and volumes of one namespace, from the informers' caches."""

    def __init__(self, informers: Informers, namespace: str, identity: Identity) -> None:
        self._informers, self._namespace = informers, namespace
        self.token, self.ca = identity.token, identity.ca

    def config_map(self, name: str) -> ConfigMap | None:
        return self._informers.one(ConfigMap, Key(self._namespace, name))

    def secret(self, name: str) -> Secret | None:
        return self._informers.one(Secret, Key(self._namespace, name))

    def volume(self, claim: str) -> PersistentVolume | None:
        found = self._informers.one(PersistentVolumeClaim, Key(self._namespace, claim))
        name = found.spec.volume_name if found and found.status.phase == "Bound" else None
        return self._informers.one(PersistentVolume, Key("", name)) if name else None
