"""A pod's quality of service, by Kubernetes' rule."""

from orchestr.api.container import Container
from orchestr.api.pod import Pod

COUNTED = ("cpu", "memory")


def qos_class(pod: Pod) -> str:
    """Guaranteed, Burstable or BestEffort."""
    every = [*pod.spec.init_containers, *pod.spec.containers]
    if not any(_says(container) for container in every):
        return "BestEffort"
    guaranteed = all(
        c.resources.limits.get(what)
        and c.resources.requests.get(what, c.resources.limits[what]) == c.resources.limits[what]
        for c in every
        for what in COUNTED
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _says(container: Container) -> bool:
    tables = (container.resources.limits, container.resources.requests)
    return any(key in COUNTED for table in tables for key in table)
