"""How a pod's sandbox is made and its containers start: each start asks first whether its dependencies are there."""

import os

import trio

from orchestr.agent import pulling, watching
from orchestr.agent.backoff import Backoff
from orchestr.agent.decide import Start
from orchestr.agent.endings import ended
from orchestr.agent.env import MissingConfig
from orchestr.agent.failure import ConfigFailure
from orchestr.agent.node import log
from orchestr.agent.prepare import container_spec, sandbox_spec, write_etc
from orchestr.agent.runs import Run, container_id
from orchestr.agent.volumes import VolumeFailure, remove_tree
from orchestr.agent.work import Work, link
from orchestr.api.container import EphemeralContainer
from orchestr.api.core import Container
from orchestr.images.seam import Image, ImageError
from orchestr.network.seam import NetworkFailure
from orchestr.runtime.seam import RuntimeFailure

RECONNECT = 2.0  # seconds before a link that could not be made is tried again


async def make_sandbox(work: Work) -> None:
    """Raises ImageError, RuntimeFailure, NetworkFailure."""
    node, pod = work.node, work.pod
    await pulling.ready(work)  # before anything is made: all images must be here
    await node.runtime.create_sandbox(sandbox_spec(node, pod))
    await node.services.policed()
    await connect(work)
    await etc_files(work)
    work.sandbox = True
    node.services.poke()
    work.wake()


async def connect(work: Work) -> None:
    """The pod's link to the bridge; its addresses are the ones it had before."""
    node, pod = work.node, work.pod
    if pod.spec.host_network:
        work.ips = (node.host_ip,)
        return
    ipv4, ipv6 = node.addresses.take(work.uid)
    work.ips = (str(ipv4), str(ipv6))
    netns = node.runtime.netns(work.uid)
    try:
        await node.dataplane.attach(link(pod, work.ips), netns)
    finally:
        os.close(netns)


async def reconnect(work: Work) -> None:
    """Somebody removed its link: it gets another, with the same addresses."""
    while work.sandbox and not work.pod.metadata.deleting:
        try:
            await connect(work)
        except KeyError:  # the sandbox went, and the link with it
            return
        except (NetworkFailure, OSError) as failure:
            log.warning("cannot connect %s again: %s (will try again)", work.pod.ref, failure)
            await trio.sleep(RECONNECT)
        else:
            text = "its network link was removed by another program and has been made again"
            work.node.recorder.record(work.pod, "Reconnected", text, warning=True)
            return


async def etc_files(work: Work) -> None:
    work.files = await trio.to_thread.run_sync(write_etc, work.node, work.pod, work.ips)


async def start(work: Work, step: Start) -> None:
    """One run of a container. What prevents it is a run that ended at once: tried again with the same back-off."""
    container, old = work.container(step.container), work.runs.get(step.container)
    if isinstance(container, EphemeralContainer):
        found = work.fetched.get(container.name)
        if found is None:  # what the pod is for does not wait for it
            work.fetched[container.name] = None
            work.nursery.start_soon(_fetch, work, container)
            return
        image = found
    else:
        image = await pulling.image(work, container)
    if not work.files:
        await etc_files(work)
    if old is not None:
        await _forget(work, old)
    run = _new(work, container, image, step, old)
    await work.node.routed(work.pod)
    try:
        spec = await trio.to_thread.run_sync(
            container_spec, work.node, work.pod, container, image, step.attempt, work.ips, work.files
        )
        if isinstance(container, EphemeralContainer) and container.target_container_name:
            spec = spec._replace(pid_of=work.runs[container.target_container_name].id)
        record = await work.node.runtime.start_container(spec)
    except (RuntimeFailure, ConfigFailure, MissingConfig, VolumeFailure) as failure:
        if isinstance(failure, RuntimeFailure) and failure.reason == "SandboxNotFound":
            work.sandbox = False  # it went with the supervisor, no container holding it: it is made anew
            work.wake()
        else:
            _not_started(work, run, failure)
        return
    run = run.but(record=record, resources=container.resources)
    work.runs[step.container] = run
    if record.status == "exited":
        work.runs[step.container] = ended(work, run, record)
    else:
        watching.begin(work, container, work.runs[step.container])
    work.wake()


async def _fetch(work: Work, container: Container) -> None:
    """The image of an ephemeral container. One try: whoever asked for it sees why it failed, and asks again."""
    try:
        work.fetched[container.name] = await pulling.image(work, container, beside=True)
    except ImageError as failure:
        _not_started(work, Run(container.name, 0, "", None, image=container.image or ""), failure)
    work.wake()


def _new(work: Work, container: Container, image: Image, step: Start, old: Run | None) -> Run:
    return Run(
        step.container,
        step.attempt,
        container_id(work.uid, step.container, step.attempt),
        None,
        backoff=old.backoff if old else Backoff(),
        image=container.image or "",
        image_id=image.digest,
        ready=container.readiness_probe is None and container.startup_probe is None,
        started=container.startup_probe is None,
        previous=(old.record or old.previous) if old else None,
    )


def _not_started(work: Work, run: Run, failure: Exception) -> None:
    backoff = run.backoff.after_run(0)
    other = "ImageNotFound" if isinstance(failure, ImageError) else "CreateContainerConfigError"
    reason = getattr(failure, "reason", other)
    work.runs[run.container] = run.but(
        backoff=backoff,
        not_before=work.node.clock() + backoff.delay(work.node.random),
        reason=reason,
        message=str(failure),
        exit_code=getattr(failure, "exit_code", None),
        ready=False,
    )
    work.node.recorder.record(work.pod, reason, str(failure), warning=True)
    work.wake()


async def _forget(work: Work, run: Run) -> None:
    """Removes the run before, which left nothing if it never began. Of the logs the last one is kept: whose it is does
    not follow from the number, since what comes back after a restart of the daemon may never have begun."""
    if run.record is None:
        return
    await work.node.runtime.remove_container(run.id, keep_logs=True)
    for attempt in work.node.places.logged(work.pod, run.container)[:-1]:
        stale = work.node.places.log(work.pod, run.container, attempt)
        await trio.to_thread.run_sync(remove_tree, stale)
