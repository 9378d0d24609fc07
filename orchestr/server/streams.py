"""The streams of a pod over WebSockets, by sub-resource."""

from starlette.websockets import WebSocket

from orchestr.server import exec as exec_
from orchestr.server import portforward, weblog
from orchestr.server.node import Node
from orchestr.server.paths import Target

STREAMS = ("exec", "attach", "portforward", "log")


async def serve(node: Node, socket: WebSocket, where: Target) -> None:
    """Raises what goes wrong before the WebSocket is accepted."""
    if where.sub == "portforward":
        await portforward.serve(node, socket, where.namespace, where.name)
    elif where.sub == "log":
        await weblog.serve(node, socket, where.namespace, where.name)
    else:
        await exec_.serve(node, socket, where.sub, where.namespace, where.name)
