"""The synchronous client of the CLI: paths and plain JSON, no models.

Errors: ApiError (what the daemon answered), NoDaemon (nobody there, or it went away).
"""

import json
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import urandom
from typing import TYPE_CHECKING, Any, BinaryIO

from orchestr.api.errors import ApiError, BadRequest, Forbidden, NotFound, from_status
from orchestr.client.http import Connection, NoDaemon, Response
from orchestr.client.paths import Address, address, path, with_query

if TYPE_CHECKING:
    from socket import socket

    from orchestr.client.exec import ExecStream
    from orchestr.client.forward import ForwardStream

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
APPLY = "/orchestr.dev/v1/apply"
STRICT = {"fieldValidation": "Strict"}  # an unknown field is an error, not a warning in a header

Object = dict[str, Any]
Query = Mapping[str, object]


class Client:
    """One kept-alive connection for requests; streams (watch, logs, exec) open their own. Not for several threads."""

    def __init__(self, host: str | Address, *, start: str = "orch system start", timeout: float = 60.0) -> None:
        """`host`: a socket's path, a URL (ValueError else) or an Address; `start`: the command NoDaemon names."""
        self.address, self.start, self.timeout = address(host), start, timeout
        self._idle: Connection | None = None
        self._foreign: bool | None = None
        self.warn: Callable[[str], None] = lambda text: None  # is told what the daemon warns of

    def get(self, target: str, query: Query | None = None, *, accept: str = JSON) -> Object:
        """The object, or the list, at a path such as path("pods", "shop")."""
        return self._json("GET", target, query or {}, accept=accept)

    def items(self, target: str, query: Query | None = None) -> list[Object]:
        """The items at a collection's path."""
        items: list[Object] = self.get(target, query)["items"]
        return items

    def there(self, target: str, query: Query | None = None) -> list[Object]:
        """The items at a collection's path; none where the server has no such kind, as another's has no Stack."""
        try:
            return self.items(target, query)
        except NotFound:
            return []

    def create(self, target: str, obj: Mapping[str, Any], query: Query | None = None) -> Object:
        return self._json("POST", target, {**STRICT, **(query or {})}, obj)

    def replace(self, target: str, obj: Mapping[str, Any], query: Query | None = None) -> Object:
        return self._json("PUT", target, {**STRICT, **(query or {})}, obj)

    def patch(self, target: str, patch: Mapping[str, Any], query: Query | None = None) -> Object:
        """JSON merge patch."""
        return self._json("PATCH", target, {**STRICT, **(query or {})}, patch, MERGE_PATCH)

    def apply(self, target: str, obj: Mapping[str, Any]) -> Object:
        """Server-side apply of one object; the target's query names the manager."""
        return self._json("PATCH", target, {}, obj, APPLY_PATCH)

    def delete(self, target: str, options: Mapping[str, Any] | None = None) -> Object:
        """`options`: DeleteOptions such as {"gracePeriodSeconds": 0, "propagationPolicy": "Foreground"}."""
        return self._json("DELETE", target, {}, options)

    def apply_all(
        self,
        items: Sequence[Mapping[str, Any]],
        *,
        manager: str = "orch",
        dry_run: bool = False,
        prune: Mapping[str, str] | None = None,
        force: bool = False,
    ) -> list[Object]:
        """Applies all or none: [{"action": "created", "object": {...}}, ...] in the items' order, pruned ones last.

        `prune`: labels of what `manager` applied before and is to vanish when it is not among the items; {} is all.

        An ApiError's causes name the item: "items[2].spec.replicas". A server that is not orch's gets them one by one
        (each.py), and refuses `prune`.
        """
        labels = None if prune is None else ",".join(f"{key}={value}" for key, value in prune.items()) or "true"
        query = {"manager": manager, "dryRun": "All" if dry_run else None, "prune": labels, "force": force or None}
        try:
            answer = self._json("POST", APPLY, query, {"kind": "List", "apiVersion": "v1", "items": list(items)})
        except (NotFound, Forbidden):
            if not self.foreign:
                raise
            if prune is not None:
                raise BadRequest("cannot prune: not supported on a server that is not orch's (use delete -f)") from None
            from orchestr.client.each import apply_each

            return apply_each(self, items, manager=manager, dry_run=dry_run, force=force)
        results: list[Object] = answer["items"]
        return results

    @property
    def foreign(self) -> bool:
        """Whether another API server answers than orch's: it has no /orchestr.dev. Asked once, and only over TCP."""
        if self._foreign is None:
            self._foreign = bool(self.address.port) and not self._own()
        return self._foreign

    def _own(self) -> bool:
        try:
            self._json("POST", APPLY, {"manager": "orch", "dryRun": "All"}, {"kind": "List", "items": []})
            return True
        except (NotFound, Forbidden):  # kube-apiserver forbids a path to whom no role grants it before it looks for it
            return False

    def watch(self, target: str, *, since: str | None = None, query: Query | None = None) -> Iterator[Object]:
        """Events {"type", "object"} until the generator is closed or the daemon ends it.

        Without `since`, what exists comes first. Expired when `since` is too old.
        """
        options = {**(query or {}), "watch": True, "resourceVersion": since}
        for line in self.stream("GET", with_query(target, options)).lines():
            event: Object = json.loads(line)
            if event["type"] == "ERROR":
                raise from_status(event["object"], int(event["object"].get("code", 500)))
            yield event

    def logs(self, namespace: str, pod: str, **options: object) -> Response:
        """A pod's log as it comes: lines(), chunks(), fileno(), close(). Options: follow, tailLines, container, ..."""
        return self.stream("GET", with_query(path("pods", namespace, pod, sub="log"), options))

    def exec(
        self,
        namespace: str,
        pod: str,
        command: Sequence[str],
        *,
        container: str | None = None,
        stdin: bool = False,
        tty: bool = False,
        stderr: bool = True,
        ours: Query | None = None,
    ) -> "ExecStream":
        """`ours`: what only orch's own server takes: env (NAME=VALUE), user, directory."""
        from orchestr.client.exec import ExecStream  # only this command pays for it
        from orchestr.client.websocket import PROTOCOL

        streams = {"stdin": stdin, "stdout": True, "stderr": stderr and not tty, "tty": tty}
        query = {"command": list(command), "container": container, **streams, **(ours or {})}
        return ExecStream(*self._upgraded(path("pods", namespace, pod, sub="exec"), query, PROTOCOL))

    def attach(self, namespace: str, pod: str, *, container: str, stdin: bool, tty: bool) -> "ExecStream":
        """To what a container runs already."""
        from orchestr.client.exec import ExecStream
        from orchestr.client.websocket import PROTOCOL

        query = {"container": container, "stdin": stdin, "stdout": True, "stderr": not tty, "tty": tty}
        return ExecStream(*self._upgraded(path("pods", namespace, pod, sub="attach"), query, PROTOCOL))

    def forward(self, namespace: str, pod: str, port: int) -> "ForwardStream":
        """A connection to a port of a pod."""
        from orchestr.client.forward import PROTOCOLS, ForwardStream

        target = path("pods", namespace, pod, sub="portforward")
        return ForwardStream(*self._upgraded(target, {"ports": port}, PROTOCOLS))

    def _upgraded(self, target: str, query: Query, protocol: str) -> "tuple[socket, bytes]":
        """The socket of a WebSocket, and what came with the handshake."""
        headers = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": b2a_base64(urandom(16), newline=False).decode(),
            "sec-websocket-protocol": protocol,
        }
        connection = Connection(self.address, self.start, self.timeout)
        response = connection.request("GET", with_query(target, query), headers)
        if response.status != 101:
            response.last = True
            raise _error(response)
        connection.socket.settimeout(None)
        return connection.socket, connection.buffer

    def stream(
        self,
        method: str,
        target: str,
        *,
        head: bytes = b"",
        body: "bytes | BinaryIO" = b"",
        content_type: str = JSON,
        timeout: float | None = None,
    ) -> Response:
        """A request with a connection of its own, for what takes its time; the response's head is read and good."""
        connection = Connection(self.address, self.start, self.timeout)
        response = connection.request(
            method, target, {"content-type": content_type} if head or body else {}, body, head
        )
        response.last = True
        if response.status >= 400:
            raise _error(response)
        connection.socket.settimeout(timeout)
        return response

    def close(self) -> None:
        if self._idle:
            self._idle.close()
            self._idle = None

    def _json(
        self,
        method: str,
        target: str,
        query: Query,
        body: Mapping[str, Any] | None = None,
        content_type: str = JSON,
        *,
        accept: str = JSON,
    ) -> Object:
        data = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {"accept": accept, **({"content-type": content_type} if data else {})}
        response = self._request(method, with_query(target, query), headers, data)
        for text in _warnings(response):
            self.warn(text)
        if response.status >= 400:
            raise _error(response)
        answer: Object = json.loads(response.read())
        if response.last:
            self.close()
        return answer

    def _request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        reused, self._idle = self._idle, self._idle or Connection(self.address, self.start, self.timeout)
        try:
            return self._idle.request(method, target, headers, body)
        except NoDaemon:
            self.close()
            if reused is None or method != "GET":  # a write may have been carried out; only a read is asked again
                raise
        self._idle = Connection(self.address, self.start, self.timeout)
        return self._idle.request(method, target, headers, body)


def _warnings(response: Response) -> list[str]:
    """Texts of Warning headers, RFC 7234: 299 - "TEXT"."""
    given = response.headers.get("warning")
    if not given:
        return []
    import re

    return [re.sub(r"\\(.)", r"\1", text) for text in re.findall(r'299 \S+ "((?:[^"\\]|\\.)*)"', given)]


def _error(response: Response) -> ApiError:
    body = response.read()
    try:
        status = json.loads(body)
    except ValueError:
        status = {"message": body[:256].decode(errors="replace").strip() or f"HTTP {response.status}"}
    return from_status(status, response.status)
