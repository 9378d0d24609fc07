"""Pod Security admission: the labels pod-security.kubernetes.io/{enforce,audit,warn} of a pod's namespace. No I/O.

Source: staging/src/k8s.io/pod-security-admission/admission of Kubernetes.
"""

import logging
from typing import Any

from orchestr.api.base import KubeObject
from orchestr.api.core import Namespace, Pod, PodTemplateSpec
from orchestr.api.errors import Cause
from orchestr.api.podsecurity import LEVELS, PRIVILEGED, Level, levels, violations, wrong_labels
from orchestr.store.matching import Subject
from orchestr.store.refusals import forbidden, invalid
from orchestr.store.table import kind_name
from orchestr.store.transaction import Tx

log = logging.getLogger(__name__)
PODS = 3000  # of a namespace that are looked at when its labels change
LOOSE = ("nodeName", "schedulingGates", "tolerations", "activeDeadlineSeconds", "terminationGracePeriodSeconds")


def review(subject: Subject) -> None:
    """Raises Forbidden for a pod that its namespace does not take. Only pods are refused: of what makes them, one is
    warned."""
    new, old = subject.new, subject.old
    if new is None or subject.sub == "status":
        return
    if isinstance(new, Namespace):
        _labels(subject.tx, new, old)
        return
    template = _template(new)
    if template is None:
        return
    space = subject.namespace
    wanted = levels(space.metadata.labels) if space is not None else {}
    if not wanted or (isinstance(old, Pod) and _significant(new.wire()) == _significant(old.wire())):
        return
    metadata, spec = (each.wire() for each in template)
    if isinstance(new, Pod) and (text := _told(wanted["enforce"], metadata, spec)):
        raise forbidden(Pod, new.metadata.name, f"violates PodSecurity {text}")
    if (text := _told(wanted["audit"], metadata, spec)) is not None:
        log.info("audit annotation pod-security.kubernetes.io/audit-violations: would violate PodSecurity %s", text)
    if (text := _told(wanted["warn"], metadata, spec)) is not None and subject.tx.caller is not None:
        subject.tx.caller.warn(f"would violate PodSecurity {text}")


def _told(level: Level, metadata: Any, spec: Any) -> str | None:
    found = violations(level, metadata, spec)
    return f'"{level}": {", ".join(map(str, found))}' if found else None


def _template(obj: KubeObject) -> tuple[Any, Any] | None:
    """(metadata, spec) of the pods that the object is or makes."""
    if isinstance(obj, Pod):
        return obj.metadata, obj.spec
    spec = getattr(obj, "spec", None)
    job = getattr(getattr(spec, "job_template", None), "spec", None)
    found = getattr(obj, "template", None) or getattr(spec, "template", None) or getattr(job, "template", None)
    return (found.metadata, found.spec) if isinstance(found, PodTemplateSpec) else None


def _significant(wire: dict[str, Any]) -> dict[str, Any]:
    """What of a pod the checks may depend on."""
    spec = {key: value for key, value in wire["spec"].items() if key not in LOOSE}
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        spec[kind] = [{k: v for k, v in each.items() if k != "image"} for each in spec.get(kind) or ()]
    return {"spec": spec, "annotations": (wire["metadata"]).get("annotations")}


def _labels(tx: Tx, new: Namespace, old: KubeObject | None) -> None:
    """Raises Invalid for labels that say nothing; warns of pods that the new level would not take."""
    wrong = list(wrong_labels(new.metadata.labels))
    if wrong and (old is None or wrong != list(wrong_labels(old.metadata.labels))):
        causes = [Cause(f"metadata.labels[{label}]", text) for label, text in wrong]
        raise invalid(Namespace, new.metadata.name, causes)
    after = levels(new.metadata.labels).get("enforce", Level())
    before = levels(old.metadata.labels).get("enforce", Level()) if old is not None else after
    relaxed = after.version == before.version and LEVELS.index(after.level) <= LEVELS.index(before.level)
    if after == before or after.level == PRIVILEGED or relaxed or tx.caller is None:
        return
    for text in _existing(tx, new.metadata.name, after):
        tx.caller.warn(text)


def _existing(tx: Tx, namespace: str, level: Level) -> list[str]:
    found: dict[str, list[str]] = {}
    for row in tx.table.rows(kind_name(Pod), namespace)[:PODS]:
        pod = row.object
        assert isinstance(pod, Pod)
        if bad := violations(level, pod.metadata.wire(), pod.spec.wire()):
            found.setdefault(", ".join(each.reason for each in bad), []).append(pod.metadata.name)
    head = f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{level}"'
    texts = []
    for reasons, names in sorted(found.items(), key=lambda each: each[1][0]):
        others = len(names) - 1
        more = f" (and {others} other pod{'s' if others > 1 else ''})" if others else ""
        texts.append(f"{names[0]}{more}: {reasons}")
    return [head, *texts] if texts else []
