"""GET of APIServices: one for each group version that is served, made when it is asked for."""

import uuid
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from orchestr.api.base import ObjectMeta, timestamp
from orchestr.api.errors import ApiError
from orchestr.api.registration import APIService
from orchestr.server import content, discovery, views
from orchestr.server.paths import Target, unknown
from orchestr.server.selectors import selector
from orchestr.store.refusals import not_found

GROUP_VERSION = (APIService.GROUP, APIService.VERSION)
SINCE = datetime.now(UTC).replace(microsecond=0)  # this daemon's start, nearly
AUTOMATIC = {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
PRIORITY = {"": 18000}  # of Kubernetes' core group; the others come behind it


class ReadOnly(ApiError):
    code, reason = 405, "MethodNotAllowed"


async def respond(request: Request, where: Target) -> Response:
    """NotFound, or MethodNotAllowed for whatever would change one."""
    if where.plural != APIService.PLURAL or where.namespace or where.sub not in ("", "status"):
        raise unknown(request.scope["path"])
    if request.method != "GET" or request.query_params.get("watch"):
        text = (
            "not supported: there are no aggregated API servers (serve custom resources by a CustomResourceDefinition)"
        )
        raise ReadOnly(f"cannot {request.method} apiservices: {text}")
    query, accept = request.query_params, request.headers.get("accept")
    if where.name:
        found = next((each for each in _all() if each.metadata.name == where.name), None)
        if found is None:
            raise not_found(APIService, where.name)
        return views.one(APIService, query, content.form(accept, content.OBJECT_VIEWS), found.canonical())
    form = content.form(accept, content.LIST_VIEWS)
    chosen = selector(query.get("labelSelector"), query.get("fieldSelector"), APIService)
    items = [each.canonical() for each in _all() if chosen.holds(each)]
    shown = views.shown_as(APIService, query, form)
    return await views.collected(APIService, form, {"resourceVersion": "1"}, items, shown)


def _all() -> list[APIService]:
    found = [
        _service(group, version, place)
        for group, versions in discovery.groups().items()
        for place, version in enumerate(versions)
    ]
    return sorted(found, key=lambda each: each.metadata.name)


def _service(group: str, version: str, place: int) -> APIService:
    name = f"{version}.{group}"
    available = {
        "type": "Available",
        "status": "True",
        "lastTransitionTime": timestamp(SINCE),
        "reason": "Local",
        "message": "Local APIServices are always available",
    }
    spec = {"version": version, "groupPriorityMinimum": PRIORITY.get(group, 17000), "versionPriority": 15 - place}
    return APIService(
        metadata=ObjectMeta(
            name=name,
            uid=str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
            resource_version="1",
            creation_timestamp=SINCE,
            labels=AUTOMATIC,
        ),
        spec={**({"group": group} if group else {}), **spec},
        status={"conditions": [available]},
    )
