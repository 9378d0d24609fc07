"""A pod's worker tells the store what it knows: only when that differs from what is stored."""

from orchestr.agent.status import pod_status
from orchestr.agent.work import Work
from orchestr.api.core import PodStatus
from orchestr.api.errors import Conflict, NotFound


def present(work: Work) -> PodStatus:
    """The status as it is known here now."""
    return pod_status(
        work.pod,
        work.runs,
        now=work.node.clock(),
        ips=work.ips,
        host_ip=work.node.host_ip,
        phase=work.phase,
        reason=work.reason,
        message=work.message,
        waiting=work.waiting,
        resize=work.resize,
    )


async def write(work: Work) -> None:
    """Raises ApiError; NotFound when the pod is gone from the store."""
    status = present(work)
    if status == work.written or status == work.pod.status:
        return
    work.pod = await work.node.cluster.patch_status(work.pod, status)
    work.written = status


async def write_last(work: Work) -> None:
    """The last word on a pod that is deleted; it may be gone already."""
    try:
        await write(work)
    except (NotFound, Conflict):
        return
