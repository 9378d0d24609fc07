"""ControllerRevisions (apps/v1): the templates that a StatefulSet or DaemonSet has had, so that it can go back.

`data` is a strategic merge patch that sets the template, as `kubectl rollout undo` sends it back. The newest revision
has the highest number; a template that comes back takes its old revision along under a new number.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from controllers.hashes import letters
from orchestr.api.base import ObjectMeta
from orchestr.api.daemonset import DaemonSet
from orchestr.api.pod import PodTemplateSpec
from orchestr.api.statefulset import REVISION_LABEL, StatefulSet
from orchestr.api.templates import ControllerRevision
from orchestr.engine import AlreadyExists, ControllerCluster, Key
from orchestr.engine.ownership import claimed

HASH = "controller.kubernetes.io/hash"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
Owner = StatefulSet | DaemonSet


class History(NamedTuple):
    newest: ControllerRevision  # of the owner's template as it is
    all: tuple[ControllerRevision, ...]  # the newest among them

    def named(self, name: str | None) -> ControllerRevision | None:
        return next((each for each in self.all if each.metadata.name == name), None)


def data_of(template: PodTemplateSpec) -> dict[str, Any]:
    """The patch that brings the template back; keys in order, as Go writes maps."""
    ordered: dict[str, Any] = _sorted({"spec": {"template": {**template.wire(), "$patch": "replace"}}})
    return ordered


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list | tuple) else value


def template_of(revision: ControllerRevision) -> PodTemplateSpec:
    """The template that a revision keeps. KeyError, TypeError, ValueError and others for data of another form."""
    found = {key: value for key, value in revision.data["spec"]["template"].items() if key != "$patch"}
    return PodTemplateSpec.model_validate(found)


def hash_of(revision: ControllerRevision) -> str:
    return revision.metadata.labels.get(REVISION_LABEL) or revision.metadata.labels.get(HASH, "")


def revision_of(owner: Owner, number: int) -> ControllerRevision:
    meta, data = owner.metadata, data_of(owner.spec.template)
    mark = letters(data, owner.status.collision_count)
    label = REVISION_LABEL if isinstance(owner, DaemonSet) else HASH
    annotations = {key: value for key, value in meta.annotations.items() if key != LAST_APPLIED}
    return ControllerRevision(
        metadata=ObjectMeta(
            name=f"{meta.name[:52].rstrip('-.')}-{mark}",
            namespace=meta.namespace,
            labels={**owner.spec.template.metadata.labels, label: mark},
            annotations=annotations,
            owner_references=(owner.owner_reference(),),
        ),
        data=data,
        revision=number,
    )


def equal(found: Sequence[ControllerRevision], template: PodTemplateSpec) -> ControllerRevision | None:
    """The newest that keeps this template, however that was written by an earlier version of ours."""
    data = data_of(template)
    for revision in sorted(found, key=lambda each: each.revision, reverse=True):  # mostly it is the first
        if revision.data == data or _keeps(revision, template):
            return revision
    return None


def _keeps(revision: ControllerRevision, template: PodTemplateSpec) -> bool:
    try:
        return template_of(revision) == template
    except (KeyError, TypeError, AttributeError, ValueError):
        return False  # somebody else's, with data of another form


async def history(cluster: ControllerCluster, owner: Owner) -> History | None:
    """The revisions of the owner, the newest with its template; writes what that takes.

    None when another revision has the next one's name: the owner's collisionCount has grown, and names differ by it.
    """
    found = [
        each
        for each in await claimed(cluster, owner, ControllerRevision, owner.spec.selector)
        if not each.metadata.deleting
    ]
    last = max((each.revision for each in found), default=0)
    newest = equal(found, owner.spec.template)
    if newest is None:
        newest = await _create(cluster, revision_of(owner, last + 1))
        if newest is None:
            grown = (owner.status.collision_count or 0) + 1
            await cluster.patch_status(owner, owner.status.but(collision_count=grown))
            return None
        return History(newest, (*found, newest))
    if newest.revision < last and not owner.metadata.deleting:
        old, newest = newest, await cluster.update(newest.but(revision=last + 1))
        found = [newest if each is old else each for each in found]
    return History(newest, tuple(found))


async def _create(cluster: ControllerCluster, revision: ControllerRevision) -> ControllerRevision | None:
    """None: another revision has the name."""
    try:
        return await cluster.create(revision)
    except AlreadyExists:
        taken = await cluster.get(ControllerRevision, Key(revision.metadata.namespace or "", revision.metadata.name))
        if taken is None or taken.data == revision.data:
            raise  # our own, not seen yet: the queue tries again
        return None


async def forget(cluster: ControllerCluster, found: History, used: set[str], limit: int) -> None:
    """Deletes the oldest revisions that nothing uses, beyond the limit. `used`: names."""
    idle = [each for each in found.all if each is not found.newest and each.metadata.name not in used]
    idle.sort(key=lambda each: each.revision)
    await cluster.delete_all(idle[: max(len(idle) - limit, 0)])


def pods_use(labels: Sequence[str], found: History) -> set[str]:
    """Names of the revisions that these label values of pods mean: a name, or a hash."""
    return {each.metadata.name for each in found.all if {each.metadata.name, hash_of(each)} & set(labels)}
