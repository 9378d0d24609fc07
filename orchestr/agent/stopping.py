"""How a pod's containers end: drained, asked, killed; then what they leave is removed."""

import signal
from ipaddress import IPv4Address

import trio

from orchestr.agent.decide import Terminate
from orchestr.agent.node import log
from orchestr.agent.telling import write, write_last
from orchestr.agent.volumes import remove_memory, remove_tree
from orchestr.agent.work import Work
from orchestr.api.core import Container
from orchestr.images.seam import ImageError
from orchestr.runtime.seam import RuntimeFailure

DRAIN_POLL = 0.1  # seconds between two looks at a pod's connections; conntrack tells no end of them


async def terminate(work: Work, step: Terminate) -> bool:
    """Ends the pod, by deletion or by its deadline. Whether it is gone for good."""
    for scope in work.probes.values():
        scope.cancel()
    work.probes.clear()
    seconds = work.pod.metadata.deletion_grace_period_seconds
    grace = float(work.pod.spec.termination_grace_period_seconds if seconds is None else seconds)
    await stop_all(work, grace)
    if step.reason:
        work.phase, work.reason = "Failed", step.reason
        work.message = f"pod was active longer than its {work.pod.spec.active_deadline_seconds} s"
        await write(work)
        return False
    await clean_up(work)
    await trio.to_thread.run_sync(_remove_files, work)
    await write_last(work)
    work.node.addresses.release(work.uid)
    await work.node.cluster.delete(work.pod, grace=0)
    return True


async def stop_all(work: Work, grace: float, *, drain: bool = True) -> None:
    """Drains first: nothing new comes in, what is under way may end; all within the grace period."""
    running = [run for run in work.runs.values() if run.running]
    if not running:
        return
    begun = trio.current_time()
    if drain and grace > 0 and not work.pod.spec.host_network:
        with trio.move_on_after(grace / 2):
            await _drain(work)
    left = max(grace - (trio.current_time() - begun), 1.0) if grace > 0 else 0.0
    async with trio.open_nursery() as nursery:
        for run in running:
            nursery.start_soon(stop, work, work.container(run.container), run.id, left)


async def _drain(work: Work) -> None:
    await work.node.services.out_of_service(work.pod)
    while work.ips and await work.node.dataplane.connections(IPv4Address(work.ips[0])):  # noqa: ASYNC110
        await trio.sleep(DRAIN_POLL)


async def stop(work: Work, container: Container, identifier: str, grace: float) -> None:
    """The stop signal, and after the grace period SIGKILL; returns when it has ended."""
    number = stop_signal(container, _stop_signal_of_image(work, container))
    try:
        if grace > 0:
            await work.node.runtime.kill(identifier, int(number))
            with trio.move_on_after(grace):
                await _end_of(work, identifier)
                return
            text = f"container {container.name} did not end within {grace:g} s of {number.name} and is killed"
            work.node.recorder.record(work.pod, "Killing", text, warning=True)
        await work.node.runtime.kill(identifier, int(signal.SIGKILL), everyone=True)
        await _end_of(work, identifier)
    except RuntimeFailure as failure:
        log.warning("cannot stop %s: %s", identifier, failure)


async def _end_of(work: Work, identifier: str) -> None:
    while True:
        beat = work.pulse.beat
        if not any(run.id == identifier and run.running for run in work.runs.values()):
            return
        await work.pulse.after(beat)


def _stop_signal_of_image(work: Work, container: Container) -> str:
    try:
        return work.node.images.resolve(container.image or "").config.stop_signal
    except ImageError:
        return ""


def stop_signal(container: Container, of_image: str) -> signal.Signals:
    """lifecycle.stopSignal, else the image's STOPSIGNAL, else SIGTERM; by name or number."""
    text = (container.lifecycle.stop_signal if container.lifecycle else None) or of_image or "SIGTERM"
    if text.isdigit():
        return signal.Signals(int(text))
    return signal.Signals[text if text.startswith("SIG") else f"SIG{text}"]


async def clean_up(work: Work) -> None:
    """Containers, network and sandbox go; logs and status stay."""
    for run in list(work.runs.values()):
        if run.record is not None:
            await work.node.runtime.remove_container(run.id, keep_logs=True)
    if work.sandbox:
        if not work.pod.spec.host_network:
            await work.node.dataplane.detach(work.uid)
        await work.node.runtime.remove_sandbox(work.uid)
        work.sandbox = False
        work.node.services.poke()


def _remove_files(work: Work) -> None:
    remove_memory(work.node.places, work.uid)
    remove_tree(work.node.places.pod(work.uid))
    remove_tree(work.node.places.tmpfs(work.uid))
    remove_tree(work.node.places.logs(work.pod))
