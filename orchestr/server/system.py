"""/orchestr.dev/v1/system and /orchestr.dev/v1/stop, and the health endpoints."""

from starlette.datastructures import QueryParams
from starlette.responses import PlainTextResponse, Response

from orchestr.server.answer import json_data, success
from orchestr.server.node import Node
from orchestr.server.query import flag

HEALTH = ("/livez", "/readyz", "/healthz")


async def system(node: Node) -> Response:
    return json_data({"kind": "System", "apiVersion": "orchestr.dev/v1", **await node.system()})


async def stop(node: Node, query: QueryParams) -> Response:
    """Answers, then the daemon ends; ?all=true ends every container too and removes every trace."""
    await node.stop(everything=flag(query, "all"))
    return success()


def health(path: str, query: QueryParams) -> Response:
    """The server only listens while everything that it needs is there; `?verbose` says so in Kubernetes' words."""
    if "verbose" not in query:
        return PlainTextResponse("ok")
    name = path.strip("/").partition("/")[0]
    return PlainTextResponse(f"[+]ping ok\n[+]store ok\n{name} check passed\n")
