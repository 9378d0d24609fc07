"""LimitRange at admission: fills in what containers leave out, and refuses what is out of bounds.

Source: plugin/pkg/admission/limitranger of Kubernetes.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from orchestr.api.base import KubeObject
from orchestr.api.container import Container
from orchestr.api.core import PersistentVolumeClaim, Pod
from orchestr.api.limits import LimitRange, LimitRangeItem
from orchestr.api.quantity import parse
from orchestr.api.usage import requested
from orchestr.store.refusals import forbidden
from orchestr.store.request import Request
from orchestr.store.table import kind_name

LIMITS = kind_name(LimitRange)
Amounts = Mapping[str, str]


def limited(request: Request) -> KubeObject:
    """The new pod or claim with defaults filled in. Raises Forbidden with every bound that it breaks."""
    new = request.new
    if request.old is not None or not isinstance(new, Pod | PersistentVolumeClaim):
        return new
    rows = request.tx.table.rows(LIMITS, request.namespace)
    items = [item for row in rows if isinstance(row.object, LimitRange) for item in row.object.spec.limits]
    if not items:
        return new
    if isinstance(new, PersistentVolumeClaim):
        broken = [text for item in items for text in _claim(item, new)]
    else:
        new = _filled(new, [item for item in items if item.type == "Container"])
        broken = [text for item in items for text in _pod(item, new)]
    if broken:
        raise forbidden(type(new), new.metadata.name, broken[0] if len(broken) == 1 else f"[{', '.join(broken)}]")
    return new


def _filled(pod: Pod, items: list[LimitRangeItem]) -> Pod:
    if not items:
        return pod
    spec = pod.spec
    return pod.but(
        spec=spec.but(
            containers=tuple(_container(container, items) for container in spec.containers),
            init_containers=tuple(_container(container, items) for container in spec.init_containers),
        )
    )


def _container(container: Container, items: list[LimitRangeItem]) -> Container:
    limits, requests = dict(container.resources.limits), dict(container.resources.requests)
    for item in items:
        limits = {**item.default, **limits}
        requests = {**item.default_request, **requests}
    return container.but(resources=container.resources.but(limits=limits, requests=requests))


def _pod(item: LimitRangeItem, pod: Pod) -> Iterator[str]:
    if item.type == "Container":
        for container in (*pod.spec.init_containers, *pod.spec.containers):
            yield from _bounds(item, container.resources.requests, container.resources.limits)
    elif item.type == "Pod":
        sums = requested(pod)
        sides = [
            {name.partition(".")[2]: str(value) for name, value in sums.items() if name.startswith(side)}
            for side in ("requests.", "limits.")
        ]
        yield from _bounds(item, *sides)


def _claim(item: LimitRangeItem, claim: PersistentVolumeClaim) -> Iterator[str]:
    if item.type == "PersistentVolumeClaim":
        yield from _bounds(item, claim.spec.resources.requests, {})


def _bounds(item: LimitRangeItem, requests: Amounts, limits: Amounts) -> Iterator[str]:
    """What is broken, in the words of Kubernetes."""
    per = f"per {item.type}"
    for name, least in item.min.items():
        if name not in requests:
            yield f"minimum {name} usage {per} is {least}.  No request is specified"
        elif parse(requests[name]) < parse(least):
            yield f"minimum {name} usage {per} is {least}, but request is {requests[name]}"
        elif name in limits and parse(limits[name]) < parse(least):
            yield f"minimum {name} usage {per} is {least}, but limit is {limits[name]}"
    claim = item.type == "PersistentVolumeClaim"
    for name, most in item.max.items():
        if name not in limits and not claim:
            yield f"maximum {name} usage {per} is {most}.  No limit is specified"
        elif name in limits and parse(limits[name]) > parse(most):
            yield f"maximum {name} usage {per} is {most}, but limit is {limits[name]}"
        elif name in requests and parse(requests[name]) > parse(most):
            yield f"maximum {name} usage {per} is {most}, but request is {requests[name]}"
    for name, ratio in item.max_limit_request_ratio.items():
        yield from _ratio(name, parse(ratio), requests, limits, per)


def _ratio(name: str, most: Decimal, requests: Amounts, limits: Amounts, per: str) -> Iterator[str]:
    request, limit = parse(requests.get(name, "0")), parse(limits.get(name, "0"))
    if not request or not limit:
        yield f"{name} max limit to request ratio {per} is {most}, but no request or limit is specified"
    elif limit / request > most:
        yield f"{name} max limit to request ratio {per} is {most}, but provided ratio is {limit / request:f}"
