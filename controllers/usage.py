"""How many pods a metric asks for: use divided by what is meant to be used. Pure.

Pods that have no reading are counted with care: as if they used all when there should be fewer, nothing when there
should be more; so are pods that are not ready yet. Source: replica_calculator.go of Kubernetes' podautoscaler.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from orchestr.api.core import Pod
from orchestr.api.metrics import PodMetrics
from orchestr.api.quantity import parse
from orchestr.engine.conditions import condition

STARTING = timedelta(minutes=5)  # in which CPU of a pod that is not ready says nothing
FIRST_READY = timedelta(seconds=30)  # a pod that was unready since about its start never was ready
TOLERANCE = 0.1  # a share by which use may differ and nothing is changed


class Unknown(Exception):
    """The metric cannot be computed; the text says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One metric of the spec, for pods that are chosen already."""

    resource: str  # cpu, memory
    container: str  # "" is all of a pod
    percent: int | None  # of what is requested
    amount: float | None  # a pod, in cores or bytes
    tolerance: tuple[float, float] = (TOLERANCE, TOLERANCE)  # (to fewer, to more)


@dataclass(frozen=True, slots=True)
class Proposal:
    replicas: int
    average: float  # a pod, in cores or bytes
    percent: int | None = None


def propose(
    wanted: Wanted, pods: Sequence[Pod], readings: Iterable[PodMetrics], current: int, now: datetime
) -> Proposal:
    """Raises Unknown."""
    metrics = {reading.metadata.name: reading for reading in readings}
    used = {name: value for name, reading in metrics.items() if (value := _used(reading, wanted)) is not None}
    if not used:
        raise Unknown(f"unable to get metrics for resource {wanted.resource}: no metrics returned from metrics.k8s.io")
    if not pods:
        raise Unknown("no pods returned by selector while calculating replica count")
    ready, unready, missing = _grouped(pods, metrics, used, wanted.resource, now)
    measured = {name: used[name] for name in ready}
    if not measured:
        raise Unknown("did not receive metrics for targeted pods (pods might be unready)")
    if wanted.percent is None:
        average = sum(measured.values()) / len(measured)
        target = wanted.amount or 1.0
        goal = dict.fromkeys([*ready, *unready, *missing], target)
        return Proposal(_count(measured, goal, 1.0, 1.0, (unready, missing), current, wanted.tolerance), average)
    requests = {pod.metadata.name: _requested(pod, wanted) for pod in pods if pod.metadata.name not in _gone(pods)}
    share = wanted.percent / 100
    count = _count(measured, requests, share, max(1.0, share), (unready, missing), current, wanted.tolerance)
    total = sum(measured.values())
    percent = int(total * 100 / sum(requests[name] for name in measured))
    return Proposal(count, total / len(measured), percent)


def _count(
    measured: Mapping[str, float],
    full: Mapping[str, float],
    share: float,
    most: float,
    others: tuple[Sequence[str], Sequence[str]],
    current: int,
    tolerance: tuple[float, float],
) -> int:
    """`share` of `full` is meant to be used; a pod without a reading counts as `most` of it at worst."""
    unready, missing = others

    def ratio(found: Mapping[str, float]) -> float:
        return sum(found.values()) / (share * sum(full[name] for name in found))

    first = ratio(measured)
    rising = bool(unready) and first > 1
    if not rising and not missing:
        return current if _tolerated(first, tolerance) else ceil(first * len(measured))
    found = dict(measured)
    if first < 1:
        found |= {name: full[name] * most for name in missing}
    elif first > 1:
        found |= dict.fromkeys(missing, 0.0)
    if rising:
        found |= dict.fromkeys(unready, 0.0)
    second = ratio(found)
    if _tolerated(second, tolerance) or (first < 1 < second) or (first > 1 > second):
        return current
    count = ceil(second * len(found))
    against = (second < 1 and count > current) or (second > 1 and count < current)
    return current if against else count


def _tolerated(ratio: float, tolerance: tuple[float, float]) -> bool:
    return 1 - tolerance[0] <= ratio <= 1 + tolerance[1]


def _used(reading: PodMetrics, wanted: Wanted) -> float | None:
    """Of the pod or its container; None when something of it has no reading."""
    chosen = [each for each in reading.containers if wanted.container in ("", each.name)]
    if not chosen or any(wanted.resource not in each.usage for each in chosen):
        return None
    return float(sum(parse(each.usage[wanted.resource]) for each in chosen))


def _requested(pod: Pod, wanted: Wanted) -> float:
    total = 0.0
    for container in pod.spec.containers:
        if wanted.container in ("", container.name):
            amount = container.resources.requests.get(wanted.resource) if container.resources else None
            if amount is None or not parse(amount):
                name = pod.metadata.name
                raise Unknown(f"missing request for {wanted.resource} in container {container.name} of Pod {name}")
            total += float(parse(amount))
    if not total:
        raise Unknown(f"container {wanted.container} not present in Pod {pod.metadata.name}")
    return total


def _gone(pods: Iterable[Pod]) -> set[str]:
    return {pod.metadata.name for pod in pods if pod.metadata.deleting or pod.status.phase == "Failed"}


def _grouped(
    pods: Iterable[Pod],
    metrics: Mapping[str, PodMetrics],
    used: Mapping[str, float],
    resource: str,
    now: datetime,
) -> tuple[list[str], list[str], list[str]]:
    """Names of pods whose reading counts, that are not ready, and that have none; ending ones are in none."""
    ready: list[str] = []
    unready: list[str] = []
    missing: list[str] = []
    for pod in pods:
        name = pod.metadata.name
        if pod.metadata.deleting or pod.status.phase == "Failed":
            continue
        if pod.status.phase in (None, "", "Pending"):
            unready.append(name)
        elif name not in used:
            missing.append(name)
        elif resource == "cpu" and _too_young(pod, metrics[name], now):
            unready.append(name)
        else:
            ready.append(name)
    return ready, unready, missing


def _too_young(pod: Pod, reading: PodMetrics, now: datetime) -> bool:
    """Whether its CPU is that of a start."""
    word, began = condition(pod.status.conditions, "Ready"), pod.status.start_time
    since = word.last_transition_time if word else None
    if word is None or since is None or began is None:
        return True
    if began + STARTING > now:
        return word.status == "False" or reading.timestamp < since + timedelta(seconds=reading.seconds)
    return word.status == "False" and began + FIRST_READY > since
