"""What can be asked of a pod besides its object: eviction, binding, ephemeral containers, other resources."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from orchestr.api.base import Key, KubeObject
from orchestr.api.core import Pod
from orchestr.api.disruption import PodDisruptionBudget
from orchestr.api.errors import ApiError, BadRequest, Cause, Conflict, Invalid
from orchestr.api.scheme import by_plural
from orchestr.server.answer import success
from orchestr.server.body import as_object, document, media_type
from orchestr.server.call import Call
from orchestr.server.fieldvalidation import Screen
from orchestr.server.patch import APPLY, Change, applied, apply_one, change
from orchestr.server.query import dry_run
from orchestr.server.turns import TooManyRequests
from orchestr.server.write import addressed, deletion
from orchestr.store.table import Row

IDENTITY = ("uid", "resourceVersion")  # preconditions
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


Shown = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]  # the stored object, what it should become


def _ephemeral(wire: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Of what should come of the pod only its ephemeral containers."""
    added = as_object(wanted.get("spec") or {}).get("ephemeralContainers")
    spec = {key: value for key, value in wire["spec"].items() if key != "ephemeralContainers"}
    return {**wire, "spec": {**spec, **({"ephemeralContainers": added} if added else {})}}


def _resized(wire: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Of what should come of the pod only its containers' resources."""
    given = as_object(wanted.get("spec") or {}).get("containers")
    sent = {each.get("name"): each for each in given if isinstance(each, dict)} if isinstance(given, list) else {}
    names = [each["name"] for each in wire["spec"]["containers"]]
    if list(sent) != names:
        text = f"Forbidden: only resources of containers may change; they are {', '.join(names)}"
        message = f'Pod "{wire["metadata"]["name"]}" is invalid: spec.containers: {text}'
        raise Invalid(message, causes=[Cause("spec.containers", text)])
    containers = [_with_resources(each, sent[each["name"]].get("resources")) for each in wire["spec"]["containers"]]
    return {**wire, "spec": {**wire["spec"], "containers": containers}}


def _with_resources(container: dict[str, Any], resources: Any) -> dict[str, Any]:
    rest = {key: value for key, value in container.items() if key != "resources"}
    return {**rest, **({"resources": resources} if resources else {})}


PARTS: Mapping[str, Shown] = {"ephemeralcontainers": _ephemeral, "resize": _resized}


async def update_part(call: Call, part: str) -> Response:
    """PUT of the pod, of which only what the sub-resource `part` shows is taken."""
    data, twice = await document(call.request)
    sent = addressed(call, as_object(data))
    return await _change(call, part, lambda wire: sent, Screen(call.kind, call.query.get("fieldValidation"), twice))


async def patch_part(call: Call, part: str) -> Response:
    if media_type(call.request) in APPLY:
        done = await apply_one(call, addressed(call, await applied(call)), part)
        return call.answer(done.row.data)
    return await _change(call, part, *await change(call))


async def _change(call: Call, part: str, changed: Change, screen: Screen) -> Response:
    def whole(wire: dict[str, Any]) -> dict[str, Any]:
        wanted = as_object(changed(wire))
        metadata = {key: value for key, value in as_object(wanted.get("metadata") or {}).items() if key in IDENTITY}
        after = PARTS[part](wire, wanted)
        return {**after, "metadata": {**wire["metadata"], **metadata}}

    stored = await call.cluster.modify(
        call.kind,
        call.key,
        whole,
        part=part,
        manager=call.manager,
        dry_run=dry_run(call.query),
        decode=screen.decode,
    )
    call.warnings.extend(screen.warnings)
    return call.answer(call.stored(stored))
