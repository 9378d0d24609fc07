"""Other resources for a container that runs: through its cgroup, or by a restart where its resizePolicy says so."""

import os

from orchestr.agent.node import log
from orchestr.agent.resources import linux_resources
from orchestr.agent.runs import Run, size
from orchestr.agent.status import moment
from orchestr.agent.stopping import stop
from orchestr.agent.work import Work
from orchestr.api.base import Condition
from orchestr.api.core import Container, Pod
from orchestr.api.quantity import milli, whole
from orchestr.runtime.seam import RuntimeFailure

RETRY = 5.0  # seconds before something that cannot be done now is tried again
PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"


async def resize(work: Work, name: str) -> None:
    """One container. What stands in the way is told in a condition, and tried again later."""
    container, run = work.container(name), work.runs[name]
    if why := infeasible(work.pod, *capacity()):
        _later(work, run, PENDING, "Infeasible", why)
    elif _restarts(container, run):
        work.runs[name] = run.but(again=True, resources=container.resources)
        grace = float(work.pod.spec.termination_grace_period_seconds)
        text = f"container {name} is restarted: its resources change, and its resizePolicy says so"
        work.node.recorder.record(work.pod, "Killing", text)
        work.nursery.start_soon(stop, work, container, run.id, grace)
    elif why := await _in_use(work, container, run):
        _later(work, run, IN_PROGRESS, "Error", why)
    else:
        await _change(work, container, run)
    work.wake()


async def _change(work: Work, container: Container, run: Run) -> None:
    try:
        await work.node.runtime.update(run.id, linux_resources(container, work.pod.metadata.annotations))
    except RuntimeFailure as failure:
        _later(work, run, IN_PROGRESS, "Error", str(failure))
        return
    current = work.runs[container.name]
    if current.id == run.id:
        work.runs[container.name] = current.but(resources=container.resources, resize_at=0.0)
    work.resize = None
    work.node.recorder.record(work.pod, "ResizeCompleted", f"container {container.name} has other resources")


def _later(work: Work, run: Run, type_: str, reason: str, message: str) -> None:
    now = work.node.clock()
    if work.resize is None or work.resize.message != message:
        log.warning("cannot resize %s of %s: %s", run.container, work.pod.ref, message)
        since = moment(now)
        work.resize = Condition(type=type_, status="True", reason=reason, message=message, last_transition_time=since)
    work.runs[run.container] = work.runs[run.container].but(resize_at=now + RETRY)


def _restarts(container: Container, run: Run) -> bool:
    assert run.resources is not None
    tables = (
        (run.resources.limits, container.resources.limits),
        (run.resources.requests, container.resources.requests),
    )
    changed = {name for was, now in tables for name in {**was, **now} if was.get(name) != now.get(name)}
    return any(
        policy.restart_policy == "RestartContainer" and policy.resource_name in changed
        for policy in container.resize_policy
    )


async def _in_use(work: Work, container: Container, run: Run) -> str:
    """Why the memory limit cannot go down now: the kernel would have to kill."""
    assert run.resources is not None
    limit, before = container.resources.limits.get("memory"), run.resources.limits.get("memory")
    if limit is None or before is None or whole(limit) >= whole(before):
        return ""
    found = (await work.node.runtime.stats([run.id])).get(run.id)
    if found is None or found.memory_bytes <= whole(limit):
        return ""
    text = f"container {container.name} uses {size(found.memory_bytes)} of memory"
    return f"{text}, which is over the limit of {limit} that it is to have"


def capacity() -> tuple[int, int]:
    """Of this machine: thousandths of a CPU, bytes."""
    return len(os.sched_getaffinity(0)) * 1000, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def infeasible(pod: Pod, cpu: int, memory: int) -> str:
    """Why no machine of this size takes the pod; "" when it does. Pure."""
    requests = [container.resources.requests for container in pod.spec.containers]
    wanted = sum(milli(each["cpu"]) for each in requests if "cpu" in each)
    if wanted > cpu:
        return f"Node didn't have enough capacity: cpu, requested: {wanted}, capacity: {cpu}"
    total = sum(whole(each["memory"]) for each in requests if "memory" in each)
    if total > memory:
        return f"Node didn't have enough capacity: memory, requested: {total}, capacity: {memory}"
    return ""
