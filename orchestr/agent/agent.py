"""The agent: every pod that is bound to this node has a worker; what the runtime tells goes to the right one.

At start `adopt` compares what the store says with what the runtime has, and writes the truth about every pod before any
controller acts on it: after a reboot nothing counts as ready, after a restart of the daemon what runs goes on.
"""

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any, TypeVar

import trio

from orchestr import graph
from orchestr.agent import starting
from orchestr.agent.addresses import Addresses
from orchestr.agent.env import MissingConfig
from orchestr.agent.machine import Machine, primary_address
from orchestr.agent.node import Identity, Node, NoIdentity, Recorder, log
from orchestr.agent.order import stop_levels
from orchestr.agent.places import Places
from orchestr.agent.prepare import owner
from orchestr.agent.reclaiming import Reclaimer
from orchestr.agent.runs import parse_id
from orchestr.agent.services import Services
from orchestr.agent.telling import present
from orchestr.agent.volumes import remove_memory, remove_tree, renew
from orchestr.agent.worker import Worker
from orchestr.api.apps import Deployment, ReplicaSet
from orchestr.api.base import Key, KubeObject
from orchestr.api.batch import Job
from orchestr.api.core import ConfigMap, PersistentVolumeClaim, Pod, Secret
from orchestr.api.daemonset import DaemonSet
from orchestr.api.statefulset import StatefulSet
from orchestr.api.storage import PersistentVolume
from orchestr.engine import Cluster
from orchestr.engine.informers import Informers
from orchestr.images.seam import ContentStore, Registry
from orchestr.network.seam import Dataplane
from orchestr.runtime.seam import Container as Record
from orchestr.runtime.seam import Runtime

K = TypeVar("K", bound=KubeObject)

LOOK = 30.0  # seconds between two looks at the age of tokens
DEPENDENCIES = (Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, ConfigMap, Secret, PersistentVolumeClaim)


class Agent:
    """One machine's pods. `informers` are the daemon's own, shared with its controllers; add() is called here."""

    def __init__(
        self,
        cluster: Cluster,
        informers: Informers,
        recorder: Recorder,
        runtime: Runtime,
        dataplane: Dataplane,
        images: ContentStore,
        registry: Registry,
        *,
        name: str,
        state: str,
        cgroup: str,
        pod_networks: tuple[IPv4Network, IPv6Network],
        dns: Sequence[str],
        identity: Identity | None = None,
        spread: float = 0.0,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.informers = informers
        for kind in (Pod, PersistentVolume, *DEPENDENCIES):
            informers.add(kind)
        self.services = Services(cluster, informers, dataplane, self._links, recorder, clock)
        self.node = Node(
            name=name,
            cluster=cluster,
            informers=informers,
            recorder=recorder,
            runtime=runtime,
            dataplane=dataplane,
            images=images,
            registry=registry,
            places=Places(state, runtime.volatile()),
            addresses=Addresses(*pod_networks, offset=spread),
            cgroup=cgroup,
            host_ip=primary_address(),
            dns=tuple(dns),
            clock=clock,
            random=chance,
            services=self.services,
            identity=identity or NoIdentity(),
            unmet=self._unmet,
            routed=self._routed,
        )
        self.machine = Machine(self.node)
        self.workers: dict[str, Worker] = {}
        self._nursery: trio.Nursery | None = None

    # -- at start

    async def adopt(self) -> None:
        """Before the controllers start: take over what runs, and tell the truth about what does not."""
        state = await self.node.runtime.state()
        pods = {pod.metadata.uid or "": pod for pod in await self.node.cluster.list(Pod) if self._ours(pod)}
        for pod in pods.values():
            if pod.ips and not pod.spec.host_network:
                self.node.addresses.claim(pod.metadata.uid or "", pod.ips[0])
        for sandbox in state.sandboxes:
            if sandbox.id in pods and sandbox.pid_path:
                self.node.addresses.claim_uids(sandbox.id, sandbox.uid_base)
            else:
                await self._evict(sandbox.id, state.containers)
        alive = {sandbox.id for sandbox in state.sandboxes if sandbox.pid_path}
        async with trio.open_nursery() as nursery:
            for uid, pod in pods.items():
                records = [record for record in state.containers if record.sandbox == uid]
                nursery.start_soon(self._adopt_pod, pod, uid in alive, records)

    async def _evict(self, sandbox: str, containers: Sequence[Record]) -> None:
        """A sandbox without a pod, or one whose namespaces are gone: its remains are removed."""
        for record in containers:
            if record.sandbox == sandbox and record.status != "exited":
                await self.node.runtime.remove_container(record.id)
        await self.node.dataplane.detach(sandbox)
        await self.node.runtime.remove_sandbox(sandbox)

    async def _adopt_pod(self, pod: Pod, alive: bool, records: Sequence[Record]) -> None:
        worker = Worker(self.node, pod)
        worker.remember(pod.status)
        for record in records:
            parsed = parse_id(record.id)
            if parsed is not None:
                worker.adopt(parsed[1], parsed[2], record)
        if alive:
            await worker.take_over()
        if not pod.finished:
            await worker.tell()
        self.workers[pod.metadata.uid or ""] = worker

    # -- the main loop

    async def run(self) -> None:
        """Never returns. The informers must be running or about to."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for worker in list(self.workers.values()):
                nursery.start_soon(self._work, worker)
            nursery.start_soon(self.services.run)
            nursery.start_soon(self.machine.run)
            nursery.start_soon(Reclaimer(self.node).run)
            nursery.start_soon(self._listen)
            nursery.start_soon(self._renew_tokens)
            nursery.start_soon(self._reconnect, nursery)
            informer = self.informers.add(Pod)
            await informer.synced.wait()
            informer.add_handler(self._pod_changed)
            self.informers.add(PersistentVolume).add_handler(self._volume_changed)
            for kind in DEPENDENCIES:
                self.informers.add(kind).add_handler(self._dependency_changed)
            self._collect_strays()
            await trio.sleep_forever()

    async def _work(self, worker: Worker) -> None:
        try:
            await worker.run()
        finally:
            if worker.gone:
                self.workers.pop(worker.uid, None)

    async def _listen(self) -> None:
        async for record in self.node.runtime.events():
            parsed = parse_id(record.id)
            worker = self.workers.get(parsed[0]) if parsed else None
            if worker is not None:
                worker.told(record)

    async def _reconnect(self, nursery: trio.Nursery) -> None:
        async for uid in self.node.dataplane.lost():
            if uid in self.workers:
                nursery.start_soon(starting.reconnect, self.workers[uid])

    async def _renew_tokens(self) -> None:
        """Follows tokens that near their end by others, for ever."""
        while True:
            await trio.sleep(LOOK)
            for worker in list(self.workers.values()):
                if worker.sandbox:
                    self._renew(worker.pod)

    def _renew(self, pod: Pod) -> None:
        sources, user, now = self.node.sources(pod), owner(self.node, pod), self.node.clock()
        for volume in pod.spec.volumes:
            try:
                renew(pod, volume, self.node.places, sources, user, now)
            except (MissingConfig, OSError) as error:
                log.warning("cannot renew a token of %s: %s (will try again)", pod.ref, error)

    def _ours(self, pod: Pod) -> bool:
        return pod.spec.node_name == self.node.name and not pod.spec.scheduling_gates

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is not None and self._ours(new):
            uid = new.metadata.uid or ""
            worker = self.workers.get(uid)
            if worker is None and self._nursery is not None:
                worker = self.workers[uid] = Worker(self.node, new)
                self._nursery.start_soon(self._work, worker)
            elif worker is not None:
                worker.changed(new)
        elif new is None and old is not None:
            worker = self.workers.get(old.metadata.uid or "")
            if worker is not None:
                worker.removed()
        self._dependency_changed(old, new)

    def _dependency_changed(self, old: KubeObject | None, new: KubeObject | None) -> None:
        changed = new or old
        for worker in self.workers.values():
            if worker.blocked and changed and worker.pod.metadata.namespace == changed.metadata.namespace:
                worker.wake()

    def _volume_changed(self, _old: object, _new: object) -> None:
        for worker in self.workers.values():
            if worker.blocked:
                worker.wake()

    def _collect_strays(self) -> None:
        """Files of pods that the store no longer knows: the daemon died between two steps of their end."""
        for parent in (os.path.join(self.node.places.state, "pods"), self.node.places.volatile):
            for uid in os.listdir(parent) if os.path.isdir(parent) else []:
                if uid not in self.workers and len(uid) == 36:
                    remove_memory(self.node.places, uid)
                    remove_tree(os.path.join(parent, uid))

    # -- what others ask

    def _links(self) -> list[Any]:
        return [worker.link for worker in self.workers.values() if worker.link is not None]

    def _unmet(self, pod: Pod) -> list[str]:
        return graph.unmet(pod, _Live(self.informers, self.workers)) or list(self._unmounted(pod))

    def _unmounted(self, pod: Pod) -> Iterator[str]:
        """Of claims that are bound: a volume that no word has come of yet, one that another pod has for itself."""
        sources = self.node.sources(pod)
        for name in claims(pod):
            volume = sources.volume(name)
            if volume is None:
                yield f"volume of claim {name} not known yet"
            elif "ReadWriteOncePod" in volume.spec.access_modes and (other := self._holder(pod, name)):
                yield f"claim {name} is in use by pod {other} (ReadWriteOncePod)"

    def _holder(self, pod: Pod, claim: str) -> str:
        """Another pod that mounts the claim and runs, or comes first: of two that have not started one must."""
        mine = pod.metadata.created, pod.metadata.name
        for worker in self.workers.values():
            other = worker.pod.metadata
            if other.namespace != pod.metadata.namespace or other.uid == pod.metadata.uid:
                continue
            first = worker.running or (worker.sandbox and (other.created, other.name) < mine)
            if first and claim in claims(worker.pod):
                return other.name
        return ""

    async def _routed(self, pod: Pod) -> None:
        """Services lead to the pods that this one waited for: it may call them with its first breath."""
        lookup = _Live(self.informers, self.workers)
        await self.services.in_service([each for each in graph.dependencies(pod, lookup) if each.ready])

    async def stop_all(self) -> None:
        """Ends every pod on this machine, dependants before what they depend on. The store keeps the objects."""
        workers = {worker.pod.key: worker for worker in self.workers.values()}
        for level in stop_levels([worker.pod for worker in workers.values()], self.informers):
            async with trio.open_nursery() as nursery:
                for pod in level:
                    nursery.start_soon(workers[pod.key].halt)
        log.info("stopped all pods count=%d", len(self.workers))


class _Live:
    """Lookup for dependencies: the informers' caches, corrected by what the workers know this moment."""

    def __init__(self, informers: Informers, workers: dict[str, Worker]) -> None:
        self._informers, self._workers = informers, workers

    def one(self, kind: type[K], key: Key) -> K | None:
        found = self._informers.one(kind, key)
        return found if found is None else self._now(found)

    def all(self, kind: type[K], *, namespace: str | None = None) -> Sequence[K]:
        return [self._now(obj) for obj in self._informers.all(kind, namespace=namespace)]

    def _now(self, obj: K) -> K:
        worker = self._workers.get(obj.metadata.uid or "") if isinstance(obj, Pod) else None
        if worker is None or not isinstance(obj, Pod) or obj.finished:
            return obj
        if (worker.ready or not obj.ready) and (worker.running or not graph.runs(obj)):
            return obj
        return obj.but(status=present(worker))


def claims(pod: Pod) -> list[str]:
    """The names of the claims that a pod mounts."""
    sources = (volume.persistent_volume_claim for volume in pod.spec.volumes)
    return [source.claim_name for source in sources if source]
