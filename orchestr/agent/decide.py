"""What a pod needs next. Pure: the pod and what is known of its containers in, one step out; worker.py carries it out.

The order is Kubernetes': sandbox, init containers one by one, then the containers; a container that ended starts again
as restartPolicy says, not before its back-off is over; a pod whose containers all ended for good is finished.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from orchestr.agent.runs import Run
from orchestr.api.core import Container, Pod


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing to do before `until` (seconds on the agent's clock; None: until something changes)."""

    until: float | None = None


@dataclass(frozen=True, slots=True)
class MakeSandbox:
    pass


@dataclass(frozen=True, slots=True)
class Start:
    container: str
    init: bool
    attempt: int


@dataclass(frozen=True, slots=True)
class Resize:
    """A container that runs is to have the resources that its pod says."""

    container: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Every container ended for good."""

    succeeded: bool
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Terminate:
    """The pod is to go: by deletion or by its deadline."""

    reason: str = ""


Step = Nothing | MakeSandbox | Start | Resize | Finish | Terminate


def decide(pod: Pod, runs: Mapping[str, Run], *, sandbox: bool, now: float, busy: Collection[str] = ()) -> Step:
    """The one next step; `now` in seconds since the epoch, as the pod's own times.

    `busy`: ephemeral containers whose images are being brought.
    """
    if pod.metadata.deleting:
        return Terminate()
    end = deadline(pod)
    if end is not None and now >= end:
        return Terminate("DeadlineExceeded")
    if sandbox and (look := _looking(pod, runs, busy)) is not None:
        return look
    resize = _resize(pod, runs, now)
    if isinstance(resize, Resize):
        return resize
    step = _containers(pod, runs, now)
    if isinstance(step, Start) and not sandbox:
        return MakeSandbox()
    if isinstance(step, Nothing):
        return Nothing(min((at for at in (step.until, end, resize.until) if at is not None), default=None))
    return step


def _resize(pod: Pod, runs: Mapping[str, Run], now: float) -> Resize | Nothing:
    later: list[float] = []
    for container in pod.spec.containers:
        run = runs.get(container.name)
        if run is None or not run.running or run.resources in (None, container.resources):
            continue
        if now >= run.resize_at:
            return Resize(container.name)
        later.append(run.resize_at)
    return Nothing(min(later, default=None))


def _looking(pod: Pod, runs: Mapping[str, Run], busy: Collection[str]) -> Start | None:
    """The next ephemeral container: each starts once, as soon as the one that it looks into runs."""
    for container in pod.spec.ephemeral_containers:
        target = container.target_container_name
        if container.name not in (*runs, *busy) and (not target or (target in runs and runs[target].running)):
            return Start(container.name, False, 0)
    return None


def deadline(pod: Pod) -> float | None:
    """When activeDeadlineSeconds is over, in seconds since the epoch; None when it has none or has not started."""
    seconds, started = pod.spec.active_deadline_seconds, pod.status.start_time
    return None if seconds is None or started is None else started.timestamp() + seconds


def _containers(pod: Pod, runs: Mapping[str, Run], now: float) -> Step:
    for container in pod.spec.init_containers:
        run = runs.get(container.name)
        if run is not None and run.succeeded:
            continue
        if run is not None and run.exited and pod.spec.restart_policy == "Never":
            return Finish(False, message=f"init container {container.name} failed: {run.outcome}")
        return _start_or_wait(container, run, now, init=True)
    waits: list[float] = []
    open_ended = False
    for container in pod.spec.containers:
        run = runs.get(container.name)
        if run is not None and run.exited and not _restarts(pod, run):
            continue
        step = _start_or_wait(container, run, now, init=False)
        if isinstance(step, Start):
            return step
        open_ended = open_ended or step.until is None
        waits += [] if step.until is None else [step.until]
    if waits or open_ended:
        return Nothing(min(waits, default=None))
    failed = [run for c in pod.spec.containers if (run := runs[c.name]) and not run.succeeded]
    return Finish(not failed, message="; ".join(f"container {run.container} {run.outcome}" for run in failed))


def _restarts(pod: Pod, run: Run) -> bool:
    policy = pod.spec.restart_policy
    return run.again or policy == "Always" or (policy == "OnFailure" and not run.succeeded)


def _start_or_wait(container: Container, run: Run | None, now: float, *, init: bool) -> Start | Nothing:
    if run is None:
        return Start(container.name, init, 0)
    if not run.exited:
        return Nothing()
    if now < run.not_before:
        return Nothing(run.not_before)
    return Start(container.name, init, run.attempt if run.record is None else run.attempt + 1)
