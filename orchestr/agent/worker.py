"""One pod on this machine: a task that looks at the pod and at its containers and takes one step at a time.

The loop is level-triggered: whatever happens (the object changed, a container ended, a probe spoke, a back-off is over)
only wakes it; it then decides anew from all that is known. It may be killed at any await: what it did is found again by
`adopt`, from the runtime's own records and the ids it gave.
"""

from datetime import UTC, datetime

import trio

from orchestr.agent import resizing, starting, watching
from orchestr.agent.decide import Finish, MakeSandbox, Nothing, Resize, Start, Step, Terminate, deadline, decide
from orchestr.agent.endings import ended
from orchestr.agent.env import MissingConfig
from orchestr.agent.failure import ConfigFailure
from orchestr.agent.memory import remembered
from orchestr.agent.node import Node, log
from orchestr.agent.runs import Run
from orchestr.agent.stopping import clean_up, stop_all, terminate
from orchestr.agent.telling import write, write_last
from orchestr.agent.volumes import VolumeFailure
from orchestr.agent.work import Work
from orchestr.api.core import Pod, PodStatus
from orchestr.api.errors import ApiError, Conflict, NotFound
from orchestr.images.seam import ImageError
from orchestr.network.seam import NetworkFailure
from orchestr.runtime.seam import Container as Record
from orchestr.runtime.seam import RuntimeFailure

FAILURES = (ConfigFailure, MissingConfig, VolumeFailure, ImageError, RuntimeFailure, NetworkFailure, OSError)
RETRY = 2.0  # seconds before something that could not be made is tried again


class Worker(Work):
    """Owns everything of one pod. `run` ends when the pod is gone."""

    def __init__(self, node: Node, pod: Pod) -> None:
        super().__init__(node, pod)
        self._seen = 0  # the pulse when the present look at everything began
        self.blocked = False  # waits for a dependency
        self.gone = False

    # -- what others tell it

    def changed(self, pod: Pod) -> None:
        if int(pod.metadata.resource_version or 0) >= int(self.pod.metadata.resource_version or 0):
            relabelled = pod.metadata.labels != self.pod.metadata.labels
            if pod.spec.containers != self.pod.spec.containers:
                self.resize = None
                self.runs = {name: run.but(resize_at=0.0) if run.resize_at else run for name, run in self.runs.items()}
            self.pod = pod  # else it is older than what our own write gave back
            if relabelled:
                self.node.services.poke()  # policies choose by labels
        self.wake()

    def told(self, record: Record) -> None:
        """A container of the pod changed."""
        for name, run in self.runs.items():
            if run.id == record.id:
                self.runs[name] = ended(self, run, record) if record.status == "exited" else run.but(record=record)
        self.wake()

    def adopt(self, name: str, attempt: int, record: Record) -> None:
        """A container that already was there when the daemon started; the newest attempt counts."""
        known = self.runs.get(name)
        if known is not None and known.attempt > attempt:
            return
        if known is None or known.attempt < attempt:
            known = Run(name, attempt, record.id, None, previous=known.record if known else None)
        self.runs[name] = ended(self, known, record) if record.status == "exited" else known.but(record=record)

    def remember(self, status: PodStatus) -> None:
        """What the store says of a pod from before the daemon started; the runtime's records come after."""
        self.phase = status.phase or "Pending"
        self.ips = tuple(address.ip for address in status.pod_ips)
        init, ephemeral = status.init_container_statuses, status.ephemeral_container_statuses
        for known in (*init, *status.container_statuses, *ephemeral):
            if (run := remembered(self.uid, known)) is not None:
                self.runs[known.name] = run

    async def take_over(self) -> None:
        """The sandbox still lives: its link is asserted, its etc files are known."""
        self.sandbox = True
        await starting.connect(self)
        await starting.etc_files(self)

    async def tell(self) -> None:
        """Writes the truth as it is known now; without its sandbox a pod is back where it began."""
        self.phase = self.phase if self.sandbox else "Pending"
        self.runs = {name: run if run.running else run.but(ready=False) for name, run in self.runs.items()}
        await write_last(self)

    def removed(self) -> None:
        """The object is gone from the store without us: end what runs, at once."""
        if not self.gone:
            stamp = self.pod.metadata.deletion_timestamp or datetime.fromtimestamp(self.node.clock(), UTC)
            metadata = self.pod.metadata.but(deletion_timestamp=stamp, deletion_grace_period_seconds=0)
            self.pod = self.pod.but(metadata=metadata)
            self.wake()

    async def halt(self) -> None:
        """Ends the pod's containers and sandbox; the object stays, for the next start of the daemon."""
        self.halted = True
        self.wake()
        await stop_all(self, float(self.pod.spec.termination_grace_period_seconds), drain=False)
        await write_last(self)
        await clean_up(self)

    # -- the loop

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            self.nursery = nursery
            for name, run in self.runs.items():
                if run.running:
                    watching.begin(self, self.container(name), run)
            while not self.gone:
                self._seen = self.pulse.beat
                await self._once()
            nursery.cancel_scope.cancel()

    async def _once(self) -> None:
        now = self.node.clock()
        if self.halted:
            await trio.sleep_forever()
        if self.pod.finished and not self.pod.metadata.deleting:
            await clean_up(self)
            await self._sleep(None)
            return
        busy = [name for name, image in self.fetched.items() if image is None]
        step = decide(self.pod, self.runs, sandbox=self.sandbox, now=now, busy=busy)
        if isinstance(step, MakeSandbox | Start) and now < self.hold:
            step = Nothing(self.hold)
        try:
            await self._carry_out(step)
        except FAILURES as failure:
            await self._failed(failure)
        except ApiError as error:
            if not isinstance(error, NotFound | Conflict):
                log.warning("cannot write status of %s: %s (will try again)", self.pod.ref, error)
            await self._sleep(self.node.clock() + RETRY)

    async def _carry_out(self, step: Step) -> None:
        match step:
            case Nothing():
                self.phase = "Running" if any(run.record for run in self.main_runs()) else self.phase
                await write(self)
                await self._sleep(step.until)
            case MakeSandbox():
                if await self._may_start():
                    await starting.make_sandbox(self)
            case Start():
                if await self._may_start():
                    await starting.start(self, step)
            case Resize():
                await resizing.resize(self, step.container)
            case Finish():
                self.phase, self.message = ("Succeeded" if step.succeeded else "Failed"), step.message
                self.reason = step.reason
                await write(self)
                await clean_up(self)
                await self._sleep(None)
            case Terminate():
                self.gone = await terminate(self, step)

    async def _may_start(self) -> bool:
        """Whether what this pod depends on is there; asked before every start, not only the first."""
        reasons = self.node.unmet(self.pod)
        if not reasons:
            self.waiting = ("", "")
            return True
        self.waiting = ("DependencyNotReady", "; ".join(reasons))
        self.blocked = True
        await write(self)
        await self._sleep(deadline(self.pod))
        self.blocked = False
        return False

    async def _failed(self, failure: Exception) -> None:
        """Something shared by all containers could not be made: say so, and try again a little later."""
        reason = getattr(
            failure, "reason", "ImageInspectError" if isinstance(failure, ImageError) else "FailedCreatePodSandBox"
        )
        if (reason, str(failure)) != self.waiting:
            self.node.recorder.record(self.pod, reason, str(failure), warning=True)
        self.waiting = (reason, str(failure))
        self.hold = self.node.clock() + getattr(failure, "hold", RETRY)
        await write_last(self)
        await self._sleep(self.hold)

    async def _sleep(self, until: float | None) -> None:
        """Until woken, or until then (node clock)."""
        with trio.move_on_after(trio_seconds(until, self.node.clock())):
            await self.pulse.after(self._seen)


def trio_seconds(until: float | None, now: float) -> float:
    """A duration for trio.move_on_after: at least a millisecond, for the two clocks differ in their last digits."""
    return float("inf") if until is None else max(until - now, 0.001)
