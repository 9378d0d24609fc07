"""Which handler answers a method and a path."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from orchestr.api.core import Pod
from orchestr.api.custom import Custom
from orchestr.api.errors import ApiError, BadRequest, NotFound
from orchestr.api.scheme import by_plural, not_served
from orchestr.server import (
    apiservices,
    apply,
    discovery,
    images,
    inpod,
    kubeconfig,
    logs,
    metrics,
    namespaceparts,
    openapi,
    openid,
    patch,
    podparts,
    read,
    reviews,
    scale,
    status,
    system,
    tokenrequest,
    watch,
    write,
)
from orchestr.server.access import Access
from orchestr.server.answer import json_data, warning
from orchestr.server.call import Call
from orchestr.server.compress import compressed
from orchestr.server.node import Node
from orchestr.server.paths import Target, target, unknown
from orchestr.server.query import flag
from orchestr.server.user import User
from orchestr.store.caller import SYSTEM, acting
from orchestr.store.local import LocalCluster

Handler = Callable[[Call], Awaitable[Response]]
OWN = "/orchestr.dev/v1/"
ANY = "*"  # the pod of a Binding that is posted to no pod: its body names it


class MethodNotAllowed(ApiError):
    code, reason = 405, "MethodNotAllowed"


async def _list(call: Call) -> Response:
    return watch.watch(call) if flag(call.query, "watch") else await read.collection(call)


async def _log(call: Call) -> Response:
    return await logs.logs(call.node, call.key.namespace, call.name, call.query)


async def _stream(call: Call) -> Response:
    raise BadRequest("cannot serve streams: Upgrade request required (to websocket, or SPDY/3.1)")


def _of_pod(part: str) -> Mapping[str, Handler]:
    put, patch_ = partial(podparts.update_part, part=part), partial(podparts.patch_part, part=part)
    return {"GET": read.single, "PUT": put, "PATCH": patch_}


COLLECTION: Mapping[str, Handler] = {"GET": _list, "POST": write.create, "DELETE": write.delete_collection}
OBJECT: Mapping[str, Handler] = {"GET": read.single, "PUT": write.update, "PATCH": patch.patch, "DELETE": write.delete}
PARTS: Mapping[str, Mapping[str, Handler]] = {
    "": OBJECT,
    "status": {"GET": read.single, "PUT": status.update, "PATCH": status.patch},
    "scale": {"GET": scale.get, "PUT": scale.update, "PATCH": scale.patch},
    "approval": {"GET": read.single, "PUT": status.update, "PATCH": status.patch},
    "eviction": {"POST": podparts.evict},
    "binding": {"POST": podparts.bind},
    "finalize": {"PUT": namespaceparts.finalize},
    **{part: _of_pod(part) for part in podparts.PARTS},
    "log": {"GET": _log},
    "exec": {"GET": _stream, "POST": _stream},
    "attach": {"GET": _stream, "POST": _stream},
    "portforward": {"GET": _stream, "POST": _stream},
}


class Routes:
    def __init__(self, cluster: LocalCluster, node: Node, access: Access) -> None:
        self.cluster, self.node, self.access = cluster, node, access

    async def respond(self, request: Request) -> Response:
        """Raises ApiError, or what the node raises."""
        path: str = request.scope["path"]
        if path.startswith(OWN):
            return await self._own(request, path.removeprefix(OWN))
        if path.startswith("/openapi/"):
            _only(request, "GET")
            return await openapi.respond(request, path)
        if path in (openid.CONFIGURATION, openid.KEYS):
            _only(request, "GET")
            return openid.answer(self.access, path)
        fixed = _fixed(request, path)
        if fixed is not None:
            _only(request, "GET")
            return fixed
        where = target(path)
        if (where.group, where.plural, where.sub) == ("", "serviceaccounts", "token") and where.namespace:
            _only(request, "POST")
            return await tokenrequest.answer(self.access, request, where.namespace, where.name)
        if (where.group, where.version) in reviews.GROUPS:
            return await reviews.answer(self.access, request, where)
        if (where.group, where.version) == apiservices.GROUP_VERSION:
            return await apiservices.respond(request, where)
        if (where.group, where.version) == discovery.METRICS:
            _only(request, "GET")
            return json_data(await self._metrics(where, path))
        return await self._resource(request, where, path)

    async def _resource(self, request: Request, where: Target, path: str) -> Response:
        if (where.group, where.plural, where.name) == ("", "bindings", "") and where.namespace:
            where = where._replace(plural=Pod.PLURAL, name=ANY, sub="binding")
        kind = by_plural(where.group, where.version, where.plural)
        if kind is None and (message := not_served(where.group, where.version, where.plural)):
            raise NotFound(message, details={"group": where.group, "kind": where.plural})
        if kind is None or (where.namespace and not kind.NAMESPACED) or where.sub not in PARTS:
            raise unknown(path)
        if where.sub and where.sub not in discovery.parts(kind):
            raise unknown(path)
        if kind.NAMESPACED and where.name and not where.namespace:
            raise unknown(path)
        handlers = PARTS[where.sub] if where.name else COLLECTION
        handler = handlers.get(request.method)
        if handler is None or (request.method == "POST" and kind.NAMESPACED and not where.namespace):
            raise _not_allowed(request)
        namespace = where.namespace or None
        call = Call(request, request.query_params, self.cluster, self.node, kind, namespace, where.name, [])
        if issubclass(kind, Custom) and kind.WARNING:
            call.warnings.append(kind.WARNING)
        with acting(_user(request), call.warnings):
            response = await compressed(request, await handler(call))
        return _warned(response, call.warnings)

    async def _metrics(self, where: Target, path: str) -> dict[str, object]:
        if where.plural == "nodes" and not where.namespace and not where.sub:
            return await (metrics.node(self.cluster, where.name) if where.name else metrics.nodes(self.cluster))
        if where.plural != "pods" or where.sub:
            raise unknown(path)
        if where.name:
            return await metrics.pod(self.node, where.namespace, where.name)
        return await metrics.pods(self.node, where.namespace or None)

    async def _own(self, request: Request, name: str) -> Response:
        query: QueryParams = request.query_params
        handlers: dict[tuple[str, str], Callable[[], Awaitable[Response]]] = {
            ("POST", "apply"): lambda: apply.apply(self.access, request),
            ("GET", "system"): lambda: system.system(self.node),
            ("POST", "stop"): lambda: system.stop(self.node, query),
            ("POST", "kubeconfig"): lambda: kubeconfig.make(self.access, request),
            ("DELETE", "kubeconfig"): lambda: kubeconfig.revoke(self.access, request),
            ("GET", "images"): lambda: images.show(self.node, query),
            ("DELETE", "images"): lambda: images.remove(self.node, query),
            ("POST", "images/load"): lambda: images.load(self.node, request),
            ("GET", "images/save"): lambda: images.save(self.node, query),
            ("GET", "images/diff"): lambda: images.diff(self.node, query),
            ("GET", "images/mounts"): lambda: images.mounts(self.node),
            ("POST", "images/mount"): lambda: images.mount(self.node, request),
            ("POST", "images/unmount"): lambda: images.unmount(self.node, request),
            ("GET", "images/df"): lambda: images.usage(self.node),
            ("POST", "images/prune"): lambda: images.prune(self.node, request),
            ("POST", "images/tag"): lambda: images.tag(self.node, request),
            ("POST", "images/pull"): lambda: images.pull(self.node, request),
            ("POST", "images/push"): lambda: images.push(self.node, request),
            ("POST", "images/build"): lambda: self._build(request),
            ("POST", "images/bootstrap"): lambda: images.bootstrap(self.node, request),
        }
        if (where := inpod.place(name)) is not None:
            handlers["POST", f"namespaces/{where.namespace}/pods/{where.pod}/signal"] = lambda: inpod.send(
                self.node, request, where
            )
            handlers["GET", f"namespaces/{where.namespace}/pods/{where.pod}/processes"] = lambda: inpod.processes(
                self.node, request, where
            )
        handler = handlers.get((request.method, name))
        if handler is None:
            raise _not_allowed(request) if name in {each for _, each in handlers} else unknown(OWN + name)
        warnings: list[str] = []
        with acting(_user(request), warnings):
            return _warned(await handler(), warnings)

    async def _build(self, request: Request) -> Response:
        from orchestr.server.build import build  # builds are rare, and what they need is not small

        return await build(self.node, request)


def _user(request: Request) -> Mapping[str, object]:
    """UserInfo of whoever sent the request."""
    user = request.scope.get("user")
    return user.wire() if isinstance(user, User) else SYSTEM


def _warned(response: Response, warnings: Iterable[str]) -> Response:
    for text in warnings:
        response.headers.append("warning", warning(text))
    return response


def _fixed(request: Request, path: str) -> Response | None:
    """Discovery and health: paths with a fixed answer. None for the path of a resource."""
    if path in ("/version", "/version/"):
        return json_data(discovery.version())
    if path.startswith(system.HEALTH):
        return system.health(path, request.query_params)
    parts = path.strip("/").split("/")
    if len(parts) == 1 and (aggregated := discovery.aggregated(request, parts[0])) is not None:
        return aggregated
    if parts == ["api"]:
        return json_data(discovery.api_versions())
    if parts == ["apis"]:
        return json_data(discovery.group_list())
    if parts[0] == "apis" and len(parts) == 2:
        return json_data(discovery.group(parts[1]))
    if parts[0] == "apis" and len(parts) == 3:
        return json_data(discovery.resource_list(parts[1], parts[2]))
    if parts[0] == "api" and len(parts) == 2:
        return json_data(discovery.resource_list("", parts[1]))
    if parts[0] not in ("api", "apis"):
        raise unknown(path)
    return None


def _only(request: Request, method: str) -> None:
    if request.method != method:
        raise _not_allowed(request)


def _not_allowed(request: Request) -> MethodNotAllowed:
    path = request.scope["path"]
    return MethodNotAllowed(f"cannot {request.method} {path}: the server does not allow this method on the resource")
