"""What runs in a pod, and signals to it: what Kubernetes has no path for.

POST namespaces/NS/pods/NAME/signal[?container=C]     {"signal": "SIGHUP"}: to its first process
GET  namespaces/NS/pods/NAME/processes[?container=C]  {"kind":"ProcessList","items":[...]}
"""

import signal
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from orchestr.api.errors import BadRequest
from orchestr.server.answer import json_data, success
from orchestr.server.body import json_object
from orchestr.server.node import Node


class Place(NamedTuple):
    namespace: str
    pod: str
    part: str


def place(path: str) -> Place | None:
    """Of a path below /orchestr.dev/v1/; None for another's."""
    parts = path.split("/")
    if len(parts) != 5 or (parts[0], parts[2]) != ("namespaces", "pods") or parts[4] not in ("signal", "processes"):
        return None
    return Place(parts[1], parts[3], parts[4])


async def send(node: Node, request: Request, where: Place) -> Response:
    wanted = (await json_object(request)).get("signal")
    number = getattr(signal.Signals, wanted, None) if isinstance(wanted, str) and wanted.startswith("SIG") else None
    if number is None:
        raise BadRequest('cannot send a signal: none is named (send {"signal": "SIGHUP"})')
    await node.signal(where.namespace, where.pod, request.query_params.get("container") or None, int(number))
    return success({"name": where.pod, "kind": "pods"})


async def processes(node: Node, request: Request, where: Place) -> Response:
    container = request.query_params.get("container") or None
    items = await node.processes(where.namespace, where.pod, container)
    return json_data({"kind": "ProcessList", "apiVersion": "orchestr.dev/v1", "items": list(items)})
