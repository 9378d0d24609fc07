"""A pod of our own at our terminal: all its output from the first byte, our input, its exit code.

It is attached to as soon as it runs, and the daemon gives whoever comes first what was written until then; what has
ended already is read from its log. So nothing is lost however short a command is.
"""

import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from orchestr.cli import OK
from orchestr.cli.converge import HOPELESS
from orchestr.cli.errors import Bad, Failed
from orchestr.cli.exec import Detached, pump, raw, woken_by
from orchestr.client.exec import ExecStream
from orchestr.client.paths import in_pod, path
from orchestr.client.sync import Client

Object = Mapping[str, Any]
CANNOT = 125  # as docker run: the command never ran
STARTING = {"ExecutableNotFound": 127, "NotExecutable": 126, "StartError": CANNOT}  # as a shell and docker run
PUBLISH = "orchestr.dev/publish"
NAMED = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


@dataclass(frozen=True)
class Manner:
    detach: bool = False
    remove: bool = False
    quiet: bool = False
    keys: bytes = b""  # typed in a terminal, they leave it


def keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` as the bytes that a terminal sends; "" is none. Bad for what is no key."""
    found = b""
    for word in text.split(",") if text else ():
        control = re.fullmatch(r"ctrl-([a-z@\[\\\]^_])", word)
        if not control and (len(word) != 1 or not word.isascii()):
            raise Bad(f"orch run: --detach-keys {text!r}: {word!r} is no key (write ctrl-LETTER or one character)")
        found += bytes([NAMED.get(control[1], ord(control[1]) & 31)]) if control else word.encode()
    return found


def run(client: Client, pod: Object, service: Object | None, manner: Manner) -> int:
    """The exit code of the command: to its end, or once it runs with `detach`."""
    life = _Life(client, pod, manner)
    try:
        state = life.until("running", "terminated")
        if service is not None and service["metadata"].get("annotations", {}).get(PUBLISH):
            life.published(service)
    except BaseException:
        life.delete(0)  # it never ran, or nobody waits for it any more
        raise
    if manner.detach:
        print(pod["metadata"]["name"])
        return _code(state) if "terminated" in state else OK
    try:
        code = life.attached(state)
    except Detached:
        return OK
    if manner.remove:
        life.delete(0)
    return code


class _Life:
    def __init__(self, client: Client, pod: Object, manner: Manner) -> None:
        self.client, self.manner = client, manner
        self.namespace, self.name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        self.uid, self.container = pod["metadata"]["uid"], pod["spec"]["containers"][0]
        self.said, self.asked = "", 0  # asked: how often we were told to end
        self.pods = self._pods(pod)

    def _pods(self, pod: Object) -> Iterator[Object]:
        """It, whenever it has changed, until it is gone: its last state is the last."""
        from orchestr.api.errors import NotFound

        while True:
            yield pod
            since, query = pod["metadata"]["resourceVersion"], {"fieldSelector": f"metadata.name={self.name}"}
            for event in self.client.watch(path("pods", self.namespace), since=since, query=query):
                if event["object"]["metadata"].get("uid") == self.uid:
                    yield event["object"]
                    if event["type"] == "DELETED":
                        return
            try:
                pod = self.client.get(path("pods", self.namespace, self.name))
            except NotFound:
                return

    def until(self, *wanted: str) -> Object:
        """The state of its container once it is one of these. Failed when it can never be."""
        for pod in self.pods:
            status: Object = next(iter((pod.get("status") or {}).get("containerStatuses") or []), {})
            for state in (status.get("state") or {}, status.get("lastState") or {}):  # the last: it is started again
                if any(each in state for each in wanted):
                    return _begun(state)
            self._hope(pod, (status.get("state") or {}).get("waiting") or {})
        raise Failed(f"orch run: pod {self.name} has been deleted", 130 if self.asked else CANNOT)

    def _hope(self, pod: Object, waiting: Object) -> None:
        status = pod.get("status") or {}
        if waiting.get("reason") in HOPELESS:
            code = STARTING.get(waiting["reason"], CANNOT)
            raise Failed(f"orch run: {waiting.get('message') or waiting['reason']}", code)
        if status.get("phase") == "Failed":
            raise Failed(f"orch run: {status.get('message') or status.get('reason') or 'the pod failed'}", CANNOT)
        gates = [each for each in status.get("conditions") or [] if each.get("reason") == "SchedulingGated"]
        text = str(gates[0].get("message") or "") if gates else ""
        if text and text != self.said and not self.manner.quiet:
            print(f"{self.name}: waiting: {text}", file=sys.stderr, flush=True)
        self.said = text

    def published(self, service: Object) -> None:
        """Waits until its ports are open. Failed when one is taken."""
        query = {"fieldSelector": f"metadata.name={service['metadata']['name']}"}
        for event in self.client.watch(path("services", self.namespace), query=query):
            conditions = (event["object"].get("status") or {}).get("conditions") or []
            told = next((each for each in conditions if each["type"] == "Published"), None)
            if event["type"] == "DELETED" or (told and told["status"] == "True"):
                return
            if told:
                raise Failed(f"orch run: {told.get('message')}", CANNOT)

    def attached(self, state: Object) -> int:
        """Passes on what is written and typed, to the end of the command; its exit code. Detached when it is left."""
        if "running" not in state:
            self._log()
            return _code(state)
        if not self._attach():
            self._log()
        return _code(self.until("terminated"))

    def _attach(self) -> bool:
        """Whether it could be: False when it has ended meanwhile."""
        from orchestr.api.errors import BadRequest, NotFound

        stdin, tty = bool(self.container.get("stdin")), bool(self.container.get("tty"))
        name = self.container["name"]
        try:
            stream = self.client.attach(self.namespace, self.name, container=name, stdin=stdin, tty=tty)
        except (BadRequest, NotFound):
            return False
        try:
            if tty and stdin:
                raw(stream, self.manner.keys)
            else:
                with signals(self._asked) as (wake, woken):
                    pump(stream, 0 if stdin else -1, wake, woken)
        finally:
            stream.close()
        return True

    def _asked(self, number: int) -> None:
        """The command gets the signal; the second time the pod is stopped as any, then ended at once."""
        from orchestr.api.errors import ApiError

        self.asked += 1
        if self.asked > 1:
            self.delete(None if self.asked == 2 else 0)
            return
        with suppress(ApiError):  # it has ended meanwhile
            self.client.create(in_pod(self.namespace, self.name, "signal"), {"signal": signal.Signals(number).name})

    def delete(self, grace: int | None) -> None:
        from orchestr.api.errors import NotFound

        with suppress(NotFound):
            self.client.delete(path("pods", self.namespace, self.name), {"gracePeriodSeconds": grace})

    def _log(self) -> None:
        for stream, target in (("Stdout", sys.stdout.buffer), ("Stderr", sys.stderr.buffer)):
            response = self.client.logs(self.namespace, self.name, container=self.container["name"], stream=stream)
            for piece in response.chunks():
                target.write(piece)
            target.flush()


@contextmanager
def signals(told: Callable[[int], None]) -> Iterator[tuple[int, Callable[[ExecStream], None]]]:
    """SIGINT and SIGTERM as something to read: a descriptor, and what to call when it is readable."""
    came: list[int] = []
    with woken_by(signal.SIGINT, signal.SIGTERM, told=came.append) as wake:
        yield wake, lambda _stream: told(came.pop())


def _begun(state: Object) -> Object:
    """Failed when it has ended without having been started."""
    ended = state.get("terminated")
    if ended and not ended.get("startedAt"):
        why = ended.get("message") or ended.get("reason")
        raise Failed(f"orch run: {why}", STARTING.get(ended.get("reason", ""), CANNOT))
    return state


def _code(state: Object) -> int:
    return int(state["terminated"].get("exitCode", OK))
