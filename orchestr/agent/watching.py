"""The probes of a pod's containers, as its worker sees them: begun with a run, heard, and acted upon."""

from collections.abc import Sequence
from functools import partial

import trio

from orchestr.agent.node import Node
from orchestr.agent.probes import Verdict, watch
from orchestr.agent.runs import Run
from orchestr.agent.stopping import stop
from orchestr.agent.work import Work
from orchestr.api.core import Container
from orchestr.runtime.seam import RuntimeFailure


class Target:
    """What probes need to know of the container."""

    def __init__(self, node: Node, sandbox: str, identifier: str, ips: Sequence[str], host_network: bool) -> None:
        self._node, self._sandbox, self._host = node, sandbox, host_network
        self.id, self.address = identifier, "127.0.0.1" if host_network or not ips else ips[0]

    def netns(self) -> int:
        """Raises RuntimeFailure when the sandbox went meanwhile."""
        try:
            return -1 if self._host else self._node.runtime.netns(self._sandbox)
        except KeyError:
            raise RuntimeFailure("cannot probe: the pod's network is gone (it ends)") from None


def begin(work: Work, container: Container, run: Run) -> None:
    """Probes a run from now on; one without probes is ready at once."""
    if not (container.startup_probe or container.readiness_probe or container.liveness_probe):
        work.runs[container.name] = run.but(ready=True, started=True)
        return
    scope = work.probes[container.name] = trio.CancelScope()
    age = work.node.clock() - (run.record.started_at or 0 if run.record else 0)
    work.nursery.start_soon(_watch, work, container, run, scope, trio.current_time() - max(0.0, age))


async def _watch(work: Work, container: Container, run: Run, scope: trio.CancelScope, since: float) -> None:
    ports = {port.name: port.container_port for port in container.ports if port.name}
    target = Target(work.node, work.uid, run.id, work.ips, bool(work.pod.spec.host_network))
    known = Verdict(run.ready, run.started) if run.ready else None
    tell = partial(_verdict, work, container, run.id)
    with scope:
        await watch(container, target, work.node.runtime, tell, ports, since=since, known=known)


async def _verdict(work: Work, container: Container, identifier: str, verdict: Verdict) -> None:
    run = work.runs.get(container.name)
    if run is None or run.id != identifier or not run.running:
        return
    if run.ready and not verdict.ready:
        work.node.recorder.record(work.pod, "Unhealthy", f"container {container.name}: {verdict.message}", warning=True)
    work.runs[container.name] = run.but(ready=verdict.ready, started=verdict.started, message=verdict.message)
    work.wake()
    if verdict.dead and run.reason != "Unhealthy":
        work.runs[container.name] = work.runs[container.name].but(reason="Unhealthy", ready=False)
        text = f"container {container.name} is restarted: {verdict.message}"
        work.node.recorder.record(work.pod, "Killing", text, warning=True)
        grace = float(work.pod.spec.termination_grace_period_seconds)
        work.nursery.start_soon(stop, work, container, run.id, grace)
