"""One pod on this machine: a task that looks at the pod and at its containers and takes one step at a time.

The loop is level-triggered: whatever happens (the object changed, a container ended, a probe spoke, a back-off is over)
only wakes it; it then decides anew from all that is known. It may be killed at any await: what it did is found again by
`adopt`, from the runtime's own records and the ids it gave.
"""

import os
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Address, IPv6Address

import trio

from orchestr.agent import etc
from orchestr.agent.backoff import Backoff
from orchestr.agent.decide import Finish, MakeSandbox, Nothing, Start, Step, Terminate, decide
from orchestr.agent.env import MissingConfig
from orchestr.agent.node import Node, log
from orchestr.agent.prepare import ConfigFailure, container_spec, sandbox_spec, write_etc
from orchestr.agent.probes import Verdict, watch
from orchestr.agent.pulse import Pulse
from orchestr.agent.runs import Run, container_id
from orchestr.agent.status import gone, pod_status
from orchestr.agent.volumes import VolumeFailure, remove_memory, remove_tree
from orchestr.api.core import Container, Pod, PodStatus
from orchestr.api.errors import ApiError, Conflict, NotFound
from orchestr.images.seam import Image, ImageError
from orchestr.network.seam import Link, NetworkFailure
from orchestr.runtime.seam import Container as Record
from orchestr.runtime.seam import RuntimeFailure

DRAIN_POLL = 0.1  # seconds between two looks at a pod's connections; conntrack tells no end of them
RETRY = 2.0  # seconds before something that could not be made is tried again


class Worker:
    """Owns everything of one pod. `run` ends when the pod is gone."""

    def __init__(self, node: Node, pod: Pod) -> None:
        self.node, self.pod = node, pod
        self.uid = pod.metadata.uid or ""
        self.runs: dict[str, Run] = {}
        self.sandbox = False
        self.ips: tuple[str, ...] = ()
        self._files: dict[str, str] = {}
        self._pulse, self._seen = Pulse(), 0
        self._waiting = ("", "")  # reason and message of what holds the next start
        self._phase, self._reason, self._message = "Pending", "", ""
        self._written: PodStatus | None = None
        self._probes: dict[str, trio.CancelScope] = {}
        self._hold = 0.0  # not before then is a failed step tried again
        self._nursery: trio.Nursery
        self.blocked = False  # waits for a dependency
        self._halted = False
        self.gone = False

    # -- what others tell it

    def wake(self) -> None:
        self._pulse.wake()

    def changed(self, pod: Pod) -> None:
        if int(pod.metadata.resource_version or 0) >= int(self.pod.metadata.resource_version or 0):
            self.pod = pod  # else it is older than what our own write gave back
        self.wake()

    def told(self, record: Record) -> None:
        """A container of the pod changed."""
        for name, run in self.runs.items():
            if run.id == record.id:
                self.runs[name] = self._ended(run, record) if record.status == "exited" else run.but(record=record)
        self.wake()

    @property
    def ready(self) -> bool:
        """What is known here now, before it is written: all containers run and are ready."""
        runs = self._main_runs()
        return len(runs) == len(self.pod.spec.containers) and all(run.running and run.ready for run in runs)

    def adopt(self, name: str, attempt: int, record: Record) -> None:
        """A container that already was there when the daemon started; the newest attempt counts."""
        known = self.runs.get(name)
        if known is not None and known.attempt > attempt:
            return
        run = Run(name, attempt, record.id, record, started=True)
        self.runs[name] = self._ended(run, record) if record.status == "exited" else run

    def _ended(self, run: Run, record: Record) -> Run:
        if run.record is not None and run.record.status == "exited" and run.record.finished_at == record.finished_at:
            return run
        scope = self._probes.pop(run.container, None)
        if scope is not None:
            scope.cancel()
        finished = record.finished_at or self.node.clock()
        ran = finished - (record.started_at or finished)
        backoff = run.backoff.after_run(ran)
        ended = run.but(
            record=record, ready=False, backoff=backoff, not_before=finished + backoff.delay(self.node.random)
        )
        self._report_end(ended)
        return ended

    def _report_end(self, run: Run) -> None:
        if run.record is not None and (run.record.exit_code != 0 or run.record.oom):
            reason = "OOMKilled" if run.record.oom else "Exited"
            self.node.recorder.record(self.pod, reason, f"container {run.container} {run.outcome}", warning=True)

    def remember(self, status: PodStatus) -> None:
        """What the store says of a pod from before the daemon started; the runtime's records come after."""
        self._phase = status.phase or "Pending"
        self.ips = tuple(address.ip for address in status.pod_ips)
        for container in (*self.pod.spec.init_containers, *self.pod.spec.containers):
            known = next(
                (s for s in (*status.init_container_statuses, *status.container_statuses) if s.name == container.name),
                None,
            )
            if known is not None and (known.state.running or known.state.terminated):
                identifier = container_id(self.uid, container.name, known.restart_count)
                self.runs[container.name] = Run(
                    container.name, known.restart_count, identifier, gone(identifier, self.uid, known),
                    image=known.image, image_id=known.image_id,
                )  # fmt: skip

    async def take_over(self) -> None:
        """The sandbox still lives: its link is asserted, its etc files are known."""
        self.sandbox = True
        await self.connect()
        self._files = await trio.to_thread.run_sync(write_etc, self.node, self.pod, self.ips)

    async def tell(self) -> None:
        """Writes the truth as it is known now."""
        self.runs = {name: run if run.running else run.but(ready=False) for name, run in self.runs.items()}
        await self._write_last()

    def removed(self) -> None:
        """The object is gone from the store without us: end what runs, at once."""
        if not self.gone:
            stamp = self.pod.metadata.deletion_timestamp or datetime.fromtimestamp(self.node.clock(), UTC)
            metadata = self.pod.metadata.but(deletion_timestamp=stamp, deletion_grace_period_seconds=0)
            self.pod = self.pod.but(metadata=metadata)
            self.wake()

    async def halt(self) -> None:
        """Ends the pod's containers and sandbox; the object stays, for the next start of the daemon."""
        self._halted = True
        self._pulse.wake()
        await self._stop_all(float(self.pod.spec.termination_grace_period_seconds))
        await self._clean_up()

    @property
    def link(self) -> Link | None:
        """Its connection to the bridge, None while it has none."""
        if not self.sandbox or self.pod.spec.host_network or len(self.ips) < 2:
            return None
        return link(self.pod, self.ips)

    # -- the loop

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for name, run in self.runs.items():
                if run.running:
                    self._probe(self._container(name), run)
            while not self.gone:
                self._seen = self._pulse.beat
                await self._once()
            nursery.cancel_scope.cancel()

    async def _once(self) -> None:
        now = self.node.clock()
        start = self.pod.status.start_time
        if self._halted:
            await trio.sleep_forever()
        if self.pod.finished and not self.pod.metadata.deleting:
            await self._clean_up()
            await self._sleep(None)
            return
        step = decide(self.pod, self.runs, sandbox=self.sandbox, now=now, started=start.timestamp() if start else None)
        if isinstance(step, MakeSandbox | Start) and now < self._hold:
            step = Nothing(self._hold)
        try:
            await self._carry_out(step)
        except (ConfigFailure, MissingConfig, VolumeFailure, ImageError, RuntimeFailure, NetworkFailure) as failure:
            await self._failed(failure)
        except ApiError as error:
            if not isinstance(error, NotFound | Conflict):
                log.warning("cannot write status of %s: %s (will try again)", self.pod.ref, error)
            await self._sleep(self.node.clock() + RETRY)

    async def _carry_out(self, step: Step) -> None:
        match step:
            case Nothing():
                self._phase = "Running" if any(r.record for r in self._main_runs()) else self._phase
                await self._write()
                await self._sleep(step.until)
            case MakeSandbox():
                if await self._may_start():
                    await self._make_sandbox()
            case Start():
                if await self._may_start():
                    await self._start(step)
            case Finish():
                self._phase, self._message = ("Succeeded" if step.succeeded else "Failed"), step.message
                self._reason = step.reason
                await self._write()
                await self._clean_up()
                await self._sleep(None)
            case Terminate():
                await self._terminate(step)

    async def _sleep(self, until: float | None) -> None:
        """Until woken, or until then (node clock)."""
        with trio.move_on_after(trio_seconds(until, self.node.clock())):
            await self._pulse.after(self._seen)

    def _main_runs(self) -> list[Run]:
        return [run for c in self.pod.spec.containers if (run := self.runs.get(c.name))]

    def _container(self, name: str) -> Container:
        every = (*self.pod.spec.init_containers, *self.pod.spec.containers)
        return next(container for container in every if container.name == name)

    # -- starting

    async def _may_start(self) -> bool:
        """Whether what this pod depends on is there; asked before every start, not only the first."""
        reasons = self.node.unmet(self.pod)
        if not reasons:
            self._waiting = ("", "")
            return True
        self._waiting = ("DependencyNotReady", "; ".join(reasons))
        self.blocked = True
        await self._write()
        await self._sleep(None)
        self.blocked = False
        return False

    async def _make_sandbox(self) -> None:
        node, pod = self.node, self.pod
        for container in (*pod.spec.init_containers, *pod.spec.containers):
            self._image(container)  # before anything is made: all images must be here
        await node.runtime.create_sandbox(sandbox_spec(node, pod))
        await self.connect()
        self._files = await trio.to_thread.run_sync(write_etc, node, pod, self.ips)
        self.sandbox = True
        node.services.poke()
        self.wake()

    async def connect(self) -> None:
        """The pod's link to the bridge; its addresses are the ones it had before."""
        node, pod = self.node, self.pod
        if pod.spec.host_network:
            self.ips = (node.host_ip,)
            return
        ipv4, ipv6 = node.addresses.take(self.uid)
        self.ips = (str(ipv4), str(ipv6))
        netns = node.runtime.netns(self.uid)
        try:
            await node.dataplane.attach(link(pod, self.ips), netns)
        finally:
            os.close(netns)

    def _image(self, container: Container) -> Image:
        return self.node.images.resolve(container.image or "")

    async def _start(self, step: Start) -> None:
        container, old = self._container(step.container), self.runs.get(step.container)
        image = self._image(container)
        if not self._files:
            self._files = await trio.to_thread.run_sync(write_etc, self.node, self.pod, self.ips)
        if old is not None:
            await self._forget(old)
        run = Run(
            step.container,
            step.attempt,
            container_id(self.uid, step.container, step.attempt),
            None,
            backoff=old.backoff if old else Backoff(),
            image=container.image or "",
            image_id=image.digest,
            ready=container.readiness_probe is None and container.startup_probe is None,
            started=container.startup_probe is None,
            previous=(old.record or old.previous) if old else None,
        )
        try:
            spec = await trio.to_thread.run_sync(
                container_spec, self.node, self.pod, container, image, step.attempt, self.ips, self._files
            )
            record = await self.node.runtime.start_container(spec)
        except (RuntimeFailure, ConfigFailure, MissingConfig, VolumeFailure) as failure:
            if getattr(failure, "reason", "") == "SandboxNotFound":  # it went with a supervisor while nothing ran in it
                self.sandbox = False
                self.wake()
                return
            self._not_started(run, failure)
            return
        self.runs[step.container] = run.but(record=record)
        if record.status == "exited":
            self.runs[step.container] = self._ended(run, record)
        else:
            self._probe(container, self.runs[step.container])
        self.wake()

    def _not_started(self, run: Run, failure: Exception) -> None:
        """A start that failed is a run that ended at once: it is retried with the same back-off."""
        backoff = run.backoff.after_run(0)
        reason = getattr(failure, "reason", "CreateContainerConfigError")
        self.runs[run.container] = run.but(
            backoff=backoff,
            not_before=self.node.clock() + backoff.delay(self.node.random),
            reason=reason,
            message=str(failure),
            ready=False,
        )
        self.node.recorder.record(self.pod, reason, str(failure), warning=True)
        self.wake()

    async def _failed(self, failure: Exception) -> None:
        """Something shared by all containers could not be made: say so, and try again a little later."""
        reason = getattr(
            failure, "reason", "ImageNotFound" if isinstance(failure, ImageError) else "FailedCreatePodSandBox"
        )
        if (reason, str(failure)) != self._waiting:
            self.node.recorder.record(self.pod, reason, str(failure), warning=True)
        self._waiting = (reason, str(failure))
        self._hold = self.node.clock() + RETRY
        await self._write()
        await self._sleep(self._hold)

    async def _forget(self, run: Run) -> None:
        """Removes the run before; its log is kept until the run after the next."""
        if run.record is not None:
            await self.node.runtime.remove_container(run.id, keep_logs=True)
        stale = self.node.places.log(self.pod, run.container, run.attempt - 1)
        if run.attempt:
            await trio.to_thread.run_sync(remove_tree, stale)

    # -- probes

    def _probe(self, container: Container, run: Run) -> None:
        if not (container.startup_probe or container.readiness_probe or container.liveness_probe):
            self.runs[container.name] = run.but(ready=True, started=True)
            return
        scope = trio.CancelScope()
        self._probes[container.name] = scope
        since = trio.current_time() - max(0.0, self.node.clock() - (run.record.started_at or 0 if run.record else 0))
        self._nursery.start_soon(self._watch, container, run.id, scope, since)

    async def _watch(self, container: Container, identifier: str, scope: trio.CancelScope, since: float) -> None:
        ports = {port.name: port.container_port for port in container.ports if port.name}
        target = _Target(self.node, self.uid, identifier, self.ips, bool(self.pod.spec.host_network))
        with scope:
            await watch(
                container, target, self.node.runtime, partial(self._verdict, container, identifier), ports, since=since
            )

    async def _verdict(self, container: Container, identifier: str, verdict: Verdict) -> None:
        run = self.runs.get(container.name)
        if run is None or run.id != identifier or not run.running:
            return
        if run.ready and not verdict.ready:
            self.node.recorder.record(
                self.pod, "Unhealthy", f"container {container.name}: {verdict.message}", warning=True
            )
        self.runs[container.name] = run.but(ready=verdict.ready, started=verdict.started, message=verdict.message)
        self.wake()
        if verdict.dead and run.reason != "Unhealthy":
            self.runs[container.name] = self.runs[container.name].but(reason="Unhealthy", ready=False)
            text = f"container {container.name} is restarted: {verdict.message}"
            self.node.recorder.record(self.pod, "Killing", text, warning=True)
            self._nursery.start_soon(
                self._stop, container, run.id, float(self.pod.spec.termination_grace_period_seconds)
            )

    # -- ending

    async def _stop(self, container: Container, identifier: str, grace: float) -> None:
        """The stop signal, and after the grace period SIGKILL; returns when it has ended."""
        number = stop_signal(container, self._stop_signal_of_image(container))
        try:
            if grace > 0:
                await self.node.runtime.kill(identifier, int(number))
                with trio.move_on_after(grace):
                    await self._ended_event(identifier)
                    return
                text = f"container {container.name} did not end within {grace:g} s of {number.name} and is killed"
                self.node.recorder.record(self.pod, "Killing", text, warning=True)
            await self.node.runtime.kill(identifier, int(signal.SIGKILL), everyone=True)
            await self._ended_event(identifier)
        except RuntimeFailure as failure:
            log.warning("cannot stop %s: %s", identifier, failure)

    def _stop_signal_of_image(self, container: Container) -> str:
        try:
            return self._image(container).config.stop_signal
        except ImageError:
            return ""

    async def _ended_event(self, identifier: str) -> None:
        while True:
            beat = self._pulse.beat
            if not any(run.id == identifier and run.running for run in self.runs.values()):
                return
            await self._pulse.after(beat)

    async def _terminate(self, step: Terminate) -> None:
        for scope in self._probes.values():
            scope.cancel()
        self._probes.clear()
        seconds = self.pod.metadata.deletion_grace_period_seconds
        grace = float(self.pod.spec.termination_grace_period_seconds if seconds is None else seconds)
        await self._stop_all(grace)
        if step.reason:
            self._phase, self._reason = "Failed", step.reason
            self._message = f"pod was active longer than its {self.pod.spec.active_deadline_seconds} s"
            await self._write()
            return
        await self._clean_up()
        await trio.to_thread.run_sync(self._remove_files)
        await self._write_last()
        self.node.addresses.release(self.uid)
        await self.node.cluster.delete(self.pod, grace=0)
        self.gone = True

    async def _stop_all(self, grace: float) -> None:
        """Drains first: nothing new comes in, what is under way may end; all within the grace period."""
        running = [run for run in self.runs.values() if run.running]
        if not running:
            return
        begun = trio.current_time()
        if grace > 0 and not self.pod.spec.host_network:
            with trio.move_on_after(grace / 2):
                await self._drain()
        left = max(grace - (trio.current_time() - begun), 1.0) if grace > 0 else 0.0
        async with trio.open_nursery() as nursery:
            for run in running:
                nursery.start_soon(self._stop, self._container(run.container), run.id, left)

    async def _drain(self) -> None:
        await self.node.services.out_of_service(self.pod)
        while self.ips and await self.node.dataplane.connections(IPv4Address(self.ips[0])):  # noqa: ASYNC110
            await trio.sleep(DRAIN_POLL)

    async def _clean_up(self) -> None:
        """Containers, network and sandbox go; logs and status stay."""
        for run in list(self.runs.values()):
            if run.record is not None:
                await self.node.runtime.remove_container(run.id, keep_logs=True)
        if self.sandbox:
            if not self.pod.spec.host_network:
                await self.node.dataplane.detach(self.uid)
            await self.node.runtime.remove_sandbox(self.uid)
            self.sandbox = False
            self.node.services.poke()

    def _remove_files(self) -> None:
        remove_memory(self.node.places, self.uid)
        remove_tree(self.node.places.pod(self.uid))
        remove_tree(self.node.places.tmpfs(self.uid))
        remove_tree(self.node.places.logs(self.pod))

    # -- telling

    async def _write(self) -> None:
        status = pod_status(
            self.pod,
            self.runs,
            now=self.node.clock(),
            ips=self.ips,
            host_ip=self.node.host_ip,
            phase=self._phase,
            reason=self._reason,
            message=self._message,
            waiting=self._waiting,
        )
        if status == self._written or status == self.pod.status:
            return
        self.pod = await self.node.cluster.patch_status(self.pod, status)
        self._written = status

    async def _write_last(self) -> None:
        """The last word on a pod that is deleted; it may be gone already."""
        try:
            await self._write()
        except (NotFound, Conflict):
            return


class _Target:
    """What probes need to know of the container."""

    def __init__(self, node: Node, sandbox: str, identifier: str, ips: Sequence[str], host_network: bool) -> None:
        self._node, self._sandbox, self._host = node, sandbox, host_network
        self.id, self.address = identifier, "127.0.0.1" if host_network or not ips else ips[0]

    def netns(self) -> int:
        return -1 if self._host else self._node.runtime.netns(self._sandbox)


def link(pod: Pod, ips: Sequence[str]) -> Link:
    """The pod as the dataplane sees it."""
    namespace = pod.metadata.namespace or ""
    networks = pod.metadata.annotations.get("orchestr.dev/networks", "")
    return Link(
        pod=pod.metadata.uid or "",
        ipv4=IPv4Address(ips[0]),
        ipv6=IPv6Address(ips[1]),
        namespace=namespace,
        name=pod.metadata.name,
        hostname=etc.hostname(pod),
        segments=frozenset(f"{namespace}/{name.strip()}" for name in networks.split(",") if name.strip()),
    )


def stop_signal(container: Container, of_image: str) -> signal.Signals:
    """lifecycle.stopSignal, else the image's STOPSIGNAL, else SIGTERM; by name or number."""
    text = (container.lifecycle.stop_signal if container.lifecycle else None) or of_image or "SIGTERM"
    if text.isdigit():
        return signal.Signals(int(text))
    return signal.Signals[text if text.startswith("SIG") else f"SIG{text}"]


def trio_seconds(until: float | None, now: float) -> float:
    """A duration for trio.move_on_after."""
    return float("inf") if until is None else max(until - now, 0.0)
