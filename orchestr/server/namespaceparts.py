"""The sub-resource `finalize` of a Namespace: who holds it while it is being deleted."""

from typing import Any

from starlette.responses import Response

from orchestr.api.errors import BadRequest
from orchestr.server.body import as_object, document
from orchestr.server.call import Call
from orchestr.server.query import dry_run
from orchestr.server.write import addressed


async def finalize(call: Call) -> Response:
    """Stores the spec.finalizers of the body. `kubernetes` stays until the namespace is being deleted."""
    sent = addressed(call, as_object((await document(call.request))[0]))
    spec = sent.get("spec") or {}
    if not isinstance(spec, dict):
        raise BadRequest("cannot read the body: spec is no object (send {...})")

    def change(wire: dict[str, Any]) -> dict[str, Any]:
        given = {name: sent["metadata"][name] for name in ("uid", "resourceVersion") if sent["metadata"].get(name)}
        finalizers = spec.get("finalizers") or []
        return {
            **wire,
            "metadata": {**wire["metadata"], **given},
            "spec": {**wire.get("spec", {}), "finalizers": finalizers},
        }

    dry, manager = dry_run(call.query), call.manager
    stored = await call.cluster.modify(call.kind, call.key, change, part="finalize", manager=manager, dry_run=dry)
    return call.answer(call.stored(stored))
