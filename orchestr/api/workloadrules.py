"""Kubernetes' rules for StatefulSet and DaemonSet: defaults, what is wrong, what an update must not change.

Source: pkg/apis/apps/{v1/defaults.go,validation} of Kubernetes.
"""

from collections.abc import Iterator, Sequence

from orchestr.api import names
from orchestr.api.daemonset import DaemonSet, DaemonSetSpec, RollingUpdateDaemonSet
from orchestr.api.errors import Cause
from orchestr.api.meta import scaled
from orchestr.api.metarules import check_replicas, check_share, check_template, selects
from orchestr.api.pod import PodTemplateSpec
from orchestr.api.rules import at_least, duplicates, one_of, required, wrong
from orchestr.api.statefulset import RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetSpec
from orchestr.api.volume import EmptyDirVolumeSource, Volume

POLICIES = ("Retain", "Delete")
STRATEGIES = ("RollingUpdate", "OnDelete")
# What may change in a StatefulSet.
FREE = (
    "replicas",
    "ordinals",
    "template",
    "update_strategy",
    "revision_history_limit",
    "persistent_volume_claim_retention_policy",
    "min_ready_seconds",
)


def always(template: PodTemplateSpec, kind: str) -> Iterator[Cause]:
    """The pods of most workloads never end by themselves."""
    yield from one_of("spec.template.spec.restartPolicy", template.spec.restart_policy, ("Always",))
    if template.spec.active_deadline_seconds is not None:
        yield Cause("spec.template.spec.activeDeadlineSeconds", f"must not be set in a {kind}")


def _common(spec: StatefulSetSpec | DaemonSetSpec, kind: str, claims: Sequence[str] = ()) -> Iterator[Cause]:
    """`claims` are volumes that the pods have besides those of the template."""
    pod = spec.template.spec
    taken = {volume.name for volume in pod.volumes}
    more = tuple(
        Volume(name=name, empty_dir=EmptyDirVolumeSource())
        for name in dict.fromkeys(claims)
        if name and name not in taken
    )
    template = spec.template.but(spec=pod.but(volumes=(*pod.volumes, *more))) if more else spec.template
    yield from at_least("spec.minReadySeconds", spec.min_ready_seconds, 0)
    yield from at_least("spec.revisionHistoryLimit", spec.revision_history_limit, 0)
    yield from one_of("spec.updateStrategy.type", spec.update_strategy.type, STRATEGIES)
    if spec.update_strategy.type == "OnDelete" and spec.update_strategy.rolling_update is not None:
        yield Cause("spec.updateStrategy.rollingUpdate", "goes only with type RollingUpdate")
    yield from selects(spec.selector, spec.template)
    yield from check_template(template, "spec.template")
    yield from always(spec.template, kind)


def stateful_set(sts: StatefulSet) -> Iterator[Cause]:
    spec = sts.spec
    yield from check_replicas("spec.replicas", spec.replicas)
    yield from one_of("spec.podManagementPolicy", spec.pod_management_policy, ("OrderedReady", "Parallel"))
    yield from at_least("spec.ordinals.start", spec.first, 0)
    kept, at = spec.persistent_volume_claim_retention_policy, "spec.persistentVolumeClaimRetentionPolicy"
    yield from one_of(f"{at}.whenDeleted", kept.when_deleted, POLICIES)
    yield from one_of(f"{at}.whenScaled", kept.when_scaled, POLICIES)
    if spec.service_name:
        yield from wrong("spec.serviceName", names.dns_label(spec.service_name))
    yield from _claims(sts)
    if spec.update_strategy.rolling_update is not None:
        yield from _rolling(spec.update_strategy.rolling_update)
    yield from _common(spec, "StatefulSet", [claim.metadata.name for claim in spec.volume_claim_templates])


def _claims(sts: StatefulSet) -> Iterator[Cause]:
    templates = sts.spec.volume_claim_templates
    for index, claim in enumerate(templates):
        at = f"spec.volumeClaimTemplates[{index}]"
        name = claim.metadata.name
        yield from wrong(f"{at}.metadata.name", names.dns_label(name)) if name else [required(f"{at}.metadata.name")]
        if not claim.spec.access_modes:
            yield required(f"{at}.spec.accessModes", "needs at least one")
        if "storage" not in claim.spec.resources.requests:
            yield required(f"{at}.spec.resources.requests.storage")
    fields = ((f"spec.volumeClaimTemplates[{i}].metadata.name", each.metadata.name) for i, each in enumerate(templates))
    yield from duplicates(fields, "claim")


def _rolling(rolling: RollingUpdateStatefulSetStrategy) -> Iterator[Cause]:
    at = "spec.updateStrategy.rollingUpdate"
    yield from at_least(f"{at}.partition", rolling.partition, 0)
    if rolling.max_unavailable is None:
        return
    bad = list(check_share(f"{at}.maxUnavailable", rolling.max_unavailable, most=100))
    yield from bad
    if not bad and not scaled(rolling.max_unavailable, 100, up=True):
        yield Cause(f"{at}.maxUnavailable", "must not be 0: no pod could ever be replaced")


def stateful_set_update(old: StatefulSet, new: StatefulSet) -> Iterator[Cause]:
    changed = [
        info.alias or name
        for name, info in StatefulSetSpec.model_fields.items()
        if name not in FREE and getattr(old.spec, name) != getattr(new.spec, name)
    ]
    if changed:
        free = ", ".join(repr(StatefulSetSpec.model_fields[name].alias) for name in FREE)
        message = (
            f"updates to statefulset spec for fields other than {free} are forbidden (changed: {', '.join(changed)}; "
            "delete the object and create it anew)"
        )
        yield Cause("spec", message, "FieldValueForbidden")


def daemon_set(ds: DaemonSet) -> Iterator[Cause]:
    rolling, at = ds.spec.update_strategy.rolling_update, "spec.updateStrategy.rollingUpdate"
    if ds.spec.update_strategy.type == "RollingUpdate" and rolling is not None:
        bad = [
            *check_share(f"{at}.maxSurge", rolling.max_surge, most=100),
            *check_share(f"{at}.maxUnavailable", rolling.max_unavailable, most=100),
        ]
        yield from bad
        yield from () if bad else _one_of_both(rolling, at)
    yield from _common(ds.spec, "DaemonSet")


def _one_of_both(rolling: RollingUpdateDaemonSet, at: str) -> Iterator[Cause]:
    surge, unavailable = (scaled(each, 100, up=True) for each in (rolling.max_surge, rolling.max_unavailable))
    if not surge and not unavailable:
        yield Cause(f"{at}.maxUnavailable", "must not be 0 when maxSurge is 0: no pod could ever be replaced")
    if surge and unavailable:
        yield Cause(f"{at}.maxSurge", "must not be set when maxUnavailable is: write maxUnavailable: 0")
