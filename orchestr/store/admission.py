"""Admission: what every object passes on its way in, whoever sends it, inside the transaction that stores it.

A list of small steps. Each takes the request and returns the object, perhaps filled in, or raises Forbidden or Invalid.
Quotas come after them (lifecycle.py): they charge what is finally stored.
"""

from collections.abc import Callable, Sequence

from orchestr.api import defaults, validation
from orchestr.api.base import Key, KubeObject
from orchestr.api.core import Namespace, Node, PersistentVolumeClaim, Pod, ResourceQuota, Service
from orchestr.api.errors import Cause
from orchestr.api.podparts import RULES as POD_PARTS
from orchestr.api.podrules import no_ephemeral
from orchestr.api.storage import PV_PROTECTION, PVC_PROTECTION, PersistentVolume
from orchestr.store import accounts, addresses, mutations, podsecurity, policies, ports, quota, scheduling, webhooks
from orchestr.store.classes import classed, one_default
from orchestr.store.definitions import custom_accepts, established
from orchestr.store.limits import limited
from orchestr.store.matching import Subject
from orchestr.store.refusals import forbidden, invalid, not_found
from orchestr.store.request import Request

Step = Callable[[Request], KubeObject]
PROTECTION = {PersistentVolumeClaim: PVC_PROTECTION, PersistentVolume: PV_PROTECTION}
CONTENT = "kubernetes"  # the finalizer of a namespace: its content has to go first


def admit(request: Request) -> KubeObject:
    """The object as it may be stored."""
    for step in STEPS:
        request = Request(request.tx, request.site, step(request), request.old, request.part)
    return request.new


def namespace_accepts(request: Request) -> KubeObject:
    """A new object needs a namespace that is there and stays."""
    new = request.new
    if request.old is not None or not type(new).NAMESPACED:
        return new
    row = request.tx.get(Namespace, Key("", request.namespace))
    if row is None:
        raise not_found(Namespace, request.namespace)
    if row.object.metadata.deleting:
        text = f"namespace {request.namespace} is being terminated"
        why = f"unable to create new content in namespace {request.namespace} because it is being terminated"
        raise forbidden(type(new), new.metadata.name, why, [Cause("metadata.namespace", text, "NamespaceTerminating")])
    return new


def fill_in(request: Request) -> KubeObject:
    return defaults.default(request.new)


def hold_namespace(request: Request) -> KubeObject:
    """A namespace goes only after its content, so only a namespace that is going can lose its finalizer."""
    new, old = request.new, request.old
    if not isinstance(new, Namespace) or (old is not None and old.metadata.deleting):
        return new
    others = tuple(name for name in new.spec.finalizers if name != CONTENT)
    return new.but(spec=new.spec.but(finalizers=(CONTENT, *others)))


def protect_storage(request: Request) -> KubeObject:
    """A new claim or volume goes only when nothing uses it any more; controllers see to that."""
    new = request.new
    name = PROTECTION.get(type(new)) if request.old is None else None
    if name is None or name in new.metadata.finalizers:
        return new
    return new.but(metadata=new.metadata.but(finalizers=(*new.metadata.finalizers, name)))


def give_account(request: Request) -> KubeObject:
    return accounts.admit(request, request.new) if isinstance(request.new, Pod) else request.new


def place_pod(request: Request) -> KubeObject:
    if isinstance(request.new, Node):
        return scheduling.stamp(request)
    return scheduling.schedule(request) if isinstance(request.new, Pod) else request.new


def give_addresses(request: Request) -> KubeObject:
    return addresses.allocate(request) if isinstance(request.new, Service) else request.new


def count_quota(request: Request) -> KubeObject:
    return quota.counted(request.tx, request.new) if isinstance(request.new, ResourceQuota) else request.new


def valid(request: Request) -> KubeObject:
    """All that is wrong with the object, told at once."""
    new, old = request.new, request.old
    causes: Sequence[Cause] = validation.validate(new)
    if old is not None:
        causes = [*causes, *validation.validate_update(old, new, request.part)]
    elif isinstance(new, Pod):
        causes = [*causes, *no_ephemeral(new.spec, "spec")]
    if isinstance(new, Service):
        causes = [*causes, *ports.check(request)]
    if causes:
        raise invalid(type(new), new.metadata.name, causes)
    return new


def granted(request: Request) -> KubeObject:
    """The caller's own check, of what its user may hand out."""
    if request.tx.guard is not None:
        request.tx.guard(request)
    return request.new


def mutate(request: Request) -> KubeObject:
    return mutated(_subject(request))


def mutated(subject: Subject) -> KubeObject:
    """The object after mutating policies, then webhooks; policies that want it see what came later once more."""
    first = mutations.mutated(subject)
    last = webhooks.mutated(subject.with_(first))
    return last if last is first or last == first else mutations.mutated(subject.with_(last), again=True)


def approved(request: Request) -> KubeObject:
    reviewed(_subject(request))
    return request.new


def _subject(request: Request) -> Subject:
    part = request.part if request.part in POD_PARTS else ""  # others show something else than the object
    return Subject(request.tx, request.new, request.old, part)


def reviewed(subject: Subject) -> None:
    """Pod security, policies, then webhooks have a say in the write as it is now; they change nothing."""
    podsecurity.review(subject)
    policies.review(subject)
    webhooks.review(subject)


STEPS: tuple[Step, ...] = (
    namespace_accepts,
    custom_accepts,
    fill_in,
    classed,
    limited,
    mutate,
    fill_in,
    classed,
    limited,
    hold_namespace,
    protect_storage,
    give_account,
    place_pod,
    give_addresses,
    valid,
    established,
    policies.observed,
    approved,
    one_default,
    count_quota,
    granted,
)
