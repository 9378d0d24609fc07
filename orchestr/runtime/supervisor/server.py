"""What clients may ask, one method for each `op`; the conversation is drawn in protocol.py."""

import os
import select
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from orchestr.runtime import cgroups
from orchestr.runtime.seam import Container, RuntimeFailure
from orchestr.runtime.supervisor import protocol, wire
from orchestr.runtime.supervisor.adopt import Adoption
from orchestr.runtime.supervisor.connection import Connection, trusted
from orchestr.runtime.supervisor.containers import Containers
from orchestr.runtime.supervisor.execs import Execs, Started
from orchestr.runtime.supervisor.loop import Loop
from orchestr.runtime.supervisor.protocol import Message
from orchestr.runtime.supervisor.records import Records
from orchestr.runtime.supervisor.sandboxes import Box, Sandboxes, remove_if_empty


class Request(NamedTuple):
    connection: Connection
    number: object  # the client's own, given back with the answer
    args: dict[str, Any]
    fds: tuple[int, ...]  # closed when the request has been taken

    def reply(self, ok: dict[str, Any] | None = None, fds: Sequence[int] = ()) -> None:
        self.connection.send({"id": self.number, "ok": ok or {}}, fds)

    def refuse(self, failure: RuntimeFailure) -> None:
        self.connection.send({"id": self.number, "error": wire.failure_to(failure)})


class Server:
    """Everything the supervisor holds. `ended` is called when a `shutdown` has left nothing."""

    def __init__(self, loop: Loop, records: Records, listener: socket.socket, ended: Callable[[], None]) -> None:
        self._loop, self._listener, self._ended = loop, listener, ended
        self._execs_of: dict[Connection, dict[int, Started]] = {}
        self._sandboxes = Sandboxes(loop, records)
        self._containers = Containers(loop, records, self._sandboxes, self._tell)
        self._execs = Execs(loop, records, self._containers, self._sandboxes)
        self._adoption = Adoption(records, self._containers, self._sandboxes)
        self._verbs: dict[str, Callable[[Request], None]] = {
            "hello": self._hello,
            "console": self._console,
            "create_sandbox": self._create_sandbox,
            "remove_sandbox": self._remove_sandbox,
            "start": self._start,
            "kill": self._kill,
            "end_stdin": self._end_stdin,
            "end": self._end,
            "forget": self._forget,
            "exec": self._exec,
            "stats": self._stats,
            "update": self._update,
            "shutdown": self._shutdown,
        }

    def start(self) -> None:
        self._adoption.run()
        self._listener.setblocking(False)
        self._loop.add(self._listener.fileno(), select.EPOLLIN, self._accept)

    def _accept(self, _events: int) -> None:
        try:
            peer, _ = self._listener.accept()
        except BlockingIOError:
            return
        if trusted(peer):
            self._execs_of[Connection(self._loop, peer, self._take, self._left)] = {}
        else:
            peer.close()

    def _left(self, connection: Connection) -> None:
        for started in self._execs_of.pop(connection).values():
            self._execs.kill(started)

    def _take(self, connection: Connection, message: Message) -> None:
        op = message.body.get("op")
        request = Request(connection, message.body.get("id"), message.body.get("args") or {}, message.fds)
        try:
            self._verb(op)(request)
        except RuntimeFailure as failure:
            request.refuse(failure)
        except Exception as error:  # a wrong argument, or a bug: told to whoever asked, and the loop goes on
            traceback.print_exc(file=sys.stderr)
            request.refuse(RuntimeFailure(f"cannot {op}: {type(error).__name__}: {error}"))
        finally:
            protocol.close(message.fds)

    def _verb(self, op: object) -> Callable[[Request], None]:
        if isinstance(op, str) and op in self._verbs:
            return self._verbs[op]
        known = ", ".join(self._verbs)
        raise RuntimeFailure(f"cannot do {str(op)[:40]!r}: no such request (one of {known})", reason="BadRequest")

    # Telling

    def _tell(self, container: Container) -> None:
        for connection in list(self._execs_of):
            if connection.watching:
                self._tell_one(connection, container)

    def _tell_one(self, connection: Connection, container: Container) -> None:
        tracked = self._containers.all.get(container.id)
        body = {"event": "container", "container": wire.container_to(container)}
        connection.send(body, tracked.held if tracked else ())

    def _tell_sandbox(self, connection: Connection, box: Box) -> None:
        sandbox = {
            "id": box.spec.id,
            "uid_base": box.spec.uid_base,
            "holder": box.record.holder if box.holder >= 0 else 0,
        }
        connection.send({"event": "sandbox", "sandbox": sandbox}, (box.ns.net,) if box.ns.net >= 0 else ())

    # Requests

    def _console(self, request: Request) -> None:
        self._adoption.console(request.args["container"], request.fds[0])
        request.reply()

    def _hello(self, request: Request) -> None:
        self._adoption.seen(request.args["seen"])
        request.connection.watching = True
        for box in self._sandboxes.all.values():
            self._tell_sandbox(request.connection, box)
        for tracked in self._containers.all.values():
            self._tell_one(request.connection, tracked.container)
        request.reply({"pid": os.getpid(), "version": protocol.VERSION})

    def _create_sandbox(self, request: Request) -> None:
        spec = wire.sandbox_from(request.args)
        known = spec.id in self._sandboxes.all
        box = self._sandboxes.create(spec)
        if not known:
            for connection in list(self._execs_of):
                if connection.watching:
                    self._tell_sandbox(connection, box)
        request.reply()

    def _remove_sandbox(self, request: Request) -> None:
        id = request.args["sandbox"]

        def ended() -> None:
            self._sandboxes.remove(id)
            request.reply()

        self._end_all([tracked.container.id for tracked in self._containers.of_sandbox(id)], ended)

    def _end_all(self, ids: Sequence[str], then: Callable[[], None]) -> None:
        """Ends all of them at the same time, and calls `then` when the last is gone."""
        left = len(ids) + 1

        def one_gone() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                then()

        for id in ids:
            self._containers.end(id, one_gone)
        one_gone()

    def _start(self, request: Request) -> None:
        spec = wire.spec_from(request.args)
        box = self._sandboxes.get(spec.sandbox)
        self._containers.start(spec, box.spec, box.ns)
        request.reply()

    def _kill(self, request: Request) -> None:
        self._containers.kill(request.args["container"], request.args["signal"], request.args["everyone"])
        request.reply()

    def _end_stdin(self, request: Request) -> None:
        self._containers.end_stdin(request.args["container"])
        request.reply()

    def _end(self, request: Request) -> None:
        id = request.args["container"]

        def ended() -> None:
            request.reply(self._containers.leftovers(id))

        self._containers.end(id, ended)

    def _forget(self, request: Request) -> None:
        self._containers.forget(request.args["container"])
        request.reply()

    def _exec(self, request: Request) -> None:
        execs = self._execs_of[request.connection]

        def ended(number: int, status: int | None) -> None:
            execs.pop(number, None)
            request.connection.send({"event": "exec_exit", "exec": number, "status": status})

        started = self._execs.start(request.args, request.fds, ended)
        execs[started.number] = started
        console = (started.console,) if started.console >= 0 else ()
        request.reply({"exec": started.number, "pid": started.pid}, (started.pidfd, *console))
        protocol.close(console)

    def _stats(self, request: Request) -> None:
        request.reply({id: stats for id in request.args["ids"] if (stats := self._stats_of(id))})

    def _stats_of(self, id: str) -> dict[str, Any] | None:
        if (tracked := self._containers.all.get(id)) and not tracked.gone:
            return cgroups.stats(tracked.record.cgroup)._asdict()
        if box := self._sandboxes.all.get(id):
            return cgroups.stats(box.spec.cgroup)._asdict()
        return None

    def _update(self, request: Request) -> None:
        id, resources = request.args["id"], request.args["resources"]
        if id in self._sandboxes.all:
            self._sandboxes.update(id, resources)
        else:
            self._containers.update(id, resources)
        request.reply()

    def _shutdown(self, request: Request) -> None:
        """Ends everything; the reply is the last thing that this process says."""

        def ended() -> None:
            for id in list(self._containers.all):
                self._containers.forget(id)
            for id in list(self._sandboxes.all):
                self._sandboxes.remove(id)
            remove_if_empty(request.args["cgroup"])
            self._ended()
            request.reply()
            request.connection.flush_blocking()
            self._loop.stop()

        self._end_all(list(self._containers.all), ended)
