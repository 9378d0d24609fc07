"""What can be asked of a pod besides its object: eviction, binding; and what is refused, in words."""

import json
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from orchestr.api.base import Key, KubeObject
from orchestr.api.core import Pod
from orchestr.api.disruption import PodDisruptionBudget
from orchestr.api.errors import ApiError, BadRequest, Cause, Conflict, Invalid
from orchestr.api.scheme import by_plural
from orchestr.server.answer import success
from orchestr.server.body import as_object, document
from orchestr.server.call import Call
from orchestr.server.query import dry_run
from orchestr.server.turns import TooManyRequests
from orchestr.server.write import deletion
from orchestr.store import refusals
from orchestr.store.table import Row

ENDED = ("Succeeded", "Failed")


async def _sent(call: Call, kind: str) -> dict[str, Any]:
    """The body, an object of this kind about the pod of the path."""
    data = as_object((await document(call.request))[0])
    name = as_object(data.get("metadata") or {}).get("name") or call.name
    if data.get("kind", kind) != kind or call.name not in (name, "*"):
        raise BadRequest(
            f"cannot read the body: no {kind} of pod {call.name} (send one with metadata.name {call.name})"
        )
    return data


async def evict(call: Call) -> Response:
    """policy/v1 Eviction: a delete that PodDisruptionBudgets may refuse for now."""
    options = (await _sent(call, "Eviction")).get("deleteOptions") or {}
    wanted = deletion(as_object(options))
    wanted["dry_run"] = dry = wanted["dry_run"] or dry_run(call.query)
    pod = call.row().object
    assert isinstance(pod, Pod)
    if pod.status.phase not in ENDED and not pod.metadata.deleting:
        found = _budgets(call, pod)
        _check_budgets(pod, found)
        if found and not dry:
            await _take(call, pod, found[0])
    await call.cluster.remove(call.kind, call.key, **wanted)
    return success(status=201)


def _budgets(call: Call, pod: Pod) -> list[KubeObject]:
    rows: list[Row] = []
    if (kind := by_plural("policy", "v1", "poddisruptionbudgets")) is not None:
        rows += call.cluster.rows(kind, namespace=call.namespace).rows
    found: list[Any] = [row.object for row in rows]
    return [each for each in found if each.spec.selector and each.spec.selector.matches(pod.metadata.labels)]


def _check_budgets(pod: Pod, budgets: list[KubeObject]) -> None:
    found: list[Any] = budgets
    if len(found) > 1:
        raise ApiError(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    for budget in found:
        always = budget.spec.unhealthy_pod_eviction_policy == "AlwaysAllow" and not pod.ready
        if budget.status.disruptions_allowed <= 0 and not always:
            name, status = budget.metadata.name, budget.status
            why = f"The disruption budget {name} needs {status.desired_healthy} healthy pods and has "
            cause = Cause("", f"{why}{status.current_healthy} currently", "DisruptionBudget")
            text = "Cannot evict pod as it would violate the pod's disruption budget."
            raise TooManyRequests(text, causes=[cause])


async def _take(call: Call, pod: Pod, budget: KubeObject) -> None:
    """Takes one disruption from the budget, in a transaction: of a burst of evictions each sees what is left."""

    def less(wire: dict[str, Any]) -> dict[str, Any]:
        now = PodDisruptionBudget.model_validate(wire)
        _check_budgets(pod, [now])
        taken = {**now.status.disrupted_pods, pod.metadata.name: datetime.now(UTC)}
        left = max(now.status.disruptions_allowed - 1, 0)
        status = now.status.but(disrupted_pods=taken, disruptions_allowed=left)
        return {**wire, "status": status.wire()}

    await call.cluster.modify(PodDisruptionBudget, budget.key, less, part="status")


async def bind(call: Call) -> Response:
    """v1 Binding: gives a pod that waits its node. Conflict when it has one."""
    sent = await _sent(call, "Binding")
    name = str((sent.get("metadata") or {}).get("name") or call.name)
    target = sent.get("target") or {}
    if not isinstance(target, dict) or target.get("kind", "Node") != "Node" or not target.get("name"):
        raise Invalid(
            f'Binding "{name}" is invalid: target.name: Required value',
            causes=[Cause("target.name", "is required")],
        )

    def placed(wire: dict[str, Any]) -> dict[str, Any]:
        spec = wire.get("spec") or {}
        if spec.get("nodeName"):
            why = f"pod {name} is already assigned to node {spec['nodeName']!r}"
            raise Conflict(f'Operation cannot be fulfilled on pods/binding "{name}": {why}')
        if gates := spec.get("schedulingGates"):
            why = f"pod {name} has non-empty .spec.schedulingGates ({json.dumps(gates)})"
            raise Conflict(f'Operation cannot be fulfilled on pods/binding "{name}": {why}')
        return {**wire, "spec": {**spec, "nodeName": target["name"]}}

    await call.cluster.modify(call.kind, Key(call.key.namespace, name), placed, dry_run=dry_run(call.query))
    return success(status=201)


async def no_ephemeral(call: Call) -> Response:
    raise _refused(call, "ephemeral containers are not supported (use exec)")


async def no_resize(call: Call) -> Response:
    raise _refused(call, "resizing a running pod is not supported (change the workload's template)")


def _refused(call: Call, why: str) -> ApiError:
    call.row()
    return refusals.forbidden(call.kind, call.name, why)
