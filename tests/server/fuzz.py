"""schemathesis on our own OpenAPI v3: requests that its schemas allow, and ones that they do not, for a while.

`python -m tests.server.fuzz SECONDS` runs it by hand, with other requests every time; test_fuzz.py runs it shortly.
"""

import http.client
import json
import logging
import random
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import schemathesis
import trio
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from orchestr.server import pki
from orchestr.server.access import Access
from orchestr.server.tokens import Issuer
from tests.server.daemon import daemon

STREAMS = ("/exec", "/attach", "/portforward", "/log", "/proxy")
NAMES, NAMESPACES = ("a", "b", "default", "kubernetes"), ("default", "default", "default", "absent")
MODES = (GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
SENSIBLE: Mapping[str, tuple[str, ...]] = {
    "dryRun": ("All", ""),
    "fieldValidation": ("Strict", "Warn", "Ignore"),
    "propagationPolicy": ("Orphan", "Background", "Foreground"),
    "labelSelector": ("app=a", "a in (b,c)", "!x", "app!=a"),
    "fieldSelector": ("metadata.name=a", "metadata.namespace!=default"),
    "resourceVersionMatch": ("",),
    "continue": ("",),
    "resourceVersion": ("", "0", "1"),
    "limit": ("", "1", "500"),
    "gracePeriodSeconds": ("", "0", "30"),
    "sendInitialEvents": ("",),
    "fieldManager": ("fuzz", ""),
}
PAUSE = 0.02  # seconds between two requests: a guest on the machine


class Finding(NamedTuple):
    """A request whose answer is wrong, and why."""

    why: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def __str__(self) -> str:
        return f"{self.why}: {self.method} {self.path} {dict(self.headers)} {self.body[:2000]!r}"


class Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@contextmanager
def running() -> Iterator[str]:
    """The socket of a daemon on another thread, on a store and a node of its own."""
    paths: list[str] = []
    ready, ends = threading.Event(), trio.Event()
    token: list[trio.lowlevel.TrioToken] = []

    async def main(directory: str) -> None:
        token.append(trio.lowlevel.current_trio_token())
        issuer = Issuer(pki.new_key(), time.time, lambda: str(uuid.uuid4()))
        async with daemon(directory, lambda cluster: Access(cluster, issuer=issuer)) as served:
            paths.append(served.socket)
            ready.set()
            await ends.wait()

    with tempfile.TemporaryDirectory() as directory:
        thread = threading.Thread(target=trio.run, args=(main, directory))
        thread.start()
        try:
            assert ready.wait(60)
            yield paths[0]
        finally:
            token[0].run_sync_soon(ends.set)
            thread.join()


class Log(logging.Handler):
    """What the server tells of its own bugs."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())


class Fuzzer:
    def __init__(self, path: str, log: Log, *, pause: float = PAUSE) -> None:
        self._log, self._pause = log, pause
        self._connection = Connection(path)
        self.close = self._connection.close
        self.sent = 0
        self.codes: dict[int, int] = {}
        self.findings: list[Finding] = []

    def documents(self) -> list[dict[str, Any]]:
        index = json.loads(self._exchange("GET", "/openapi/v3", {}, b"")[1])
        found = [self._exchange("GET", each["serverRelativeURL"], {}, b"")[1] for each in index["paths"].values()]
        return [json.loads(each) for each in found]

    def send(self, case: Case, chance: random.Random) -> None:
        parts = case.as_transport_kwargs(base_url="http://localhost")
        path = quote(parts["url"].removeprefix("http://localhost"), safe="/%:@!$&'()*+,;=~")
        path = path.replace("%7Bname%7D", "a").replace("%7Bnamespace%7D", "default")
        query = dict(parts.get("params") or {})
        if "watch" in query or "timeoutSeconds" in query:
            query |= {"timeoutSeconds": "1"} if chance.random() < 0.02 else {"watch": "false"}
        if query:
            path += "?" + urlencode(query, doseq=True, errors="replace")
        headers = {name: value for name, value in (parts.get("headers") or {}).items() if value.isprintable()}
        headers = {n: v.encode("latin-1", "replace").decode("latin-1") for n, v in headers.items()}
        body = _bytes(parts)
        if parts.get("json") is not None:
            headers.setdefault("Content-Type", "application/json")
        self._judge(case.method.upper(), path, headers, body)
        time.sleep(self._pause)

    def _judge(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
        self.sent += 1
        try:
            code, text = self._exchange(method, path, headers, body)
        except Exception as error:
            self._connection.close()
            self.findings.append(Finding(f"no answer: {error!r}", method, path, headers, body))
            return
        self.codes[code] = self.codes.get(code, 0) + 1
        told, self._log.told = self._log.told, []
        if told or (why := wrong(code, text)):
            self.findings.append(Finding("; ".join(told) or why, method, path, headers, body))

    def _exchange(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        try:
            self._connection.request(method, path, body or None, dict(headers))
            answer = self._connection.getresponse()
        except (ConnectionError, http.client.CannotSendRequest, http.client.RemoteDisconnected):
            self._connection.close()  # idle for too long: once more
            self._connection.request(method, path, body or None, dict(headers))
            answer = self._connection.getresponse()
        return answer.status, answer.read()


def _bytes(parts: Mapping[str, Any]) -> bytes:
    if parts.get("json") is not None:
        return json.dumps(parts["json"]).encode()
    data = parts.get("data")
    return data if isinstance(data, bytes) else data.encode("utf-8", "replace") if isinstance(data, str) else b""


def wrong(code: int, text: bytes) -> str:
    """What is wrong with an answer; "" when it is right."""
    if code >= 500 and not (code == 504 and b"Too large resource version" in text):
        return f"{code} {text[:300]!r}"
    if code < 400:
        return ""
    try:
        status = json.loads(text)
    except ValueError:
        return f"{code} without a Status: {text[:300]!r}"
    if (status.get("kind"), status.get("status"), status.get("code")) != ("Status", "Failure", code):
        return f"{code} with another Status: {text[:300]!r}"
    return "a traceback" if b"Traceback" in text else ""


def aimed(case: Case, chance: random.Random) -> Case:
    """The case at objects that may be there: a random name is no object's."""
    if chance.random() < 0.9:
        for name, values in (("namespace", NAMESPACES), ("name", NAMES)):
            if name in (case.path_parameters or {}):
                case.path_parameters[name] = chance.choice(values)
    if case.query and chance.random() < 0.8:
        case.query = {n: chance.choice(SENSIBLE[n]) if n in SENSIBLE else value for n, value in case.query.items()}
    if isinstance(case.body, dict) and chance.random() < 0.9:
        body = {name: value for name, value in case.body.items() if name not in ("apiVersion", "kind")}
        if isinstance(meta := body.setdefault("metadata", {}), dict):
            meta.pop("namespace", None)
            body["metadata"] = {**meta, "name": chance.choice(NAMES)}
        case.body = body
    return case


def fuzz(fuzzer: Fuzzer, operation: Any, examples: int, number: int) -> None:
    """Sends so many requests of one operation."""
    chance = random.Random(number)

    @seed(number)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in MODES)))
    def requests(case: Case) -> None:
        fuzzer.send(aimed(case, chance), chance)

    requests()


def operations(documents: list[dict[str, Any]]) -> list[Any]:
    found = []
    for document in documents:
        for result in schemathesis.openapi.from_dict(document).get_all_operations():
            operation = result.ok()
            if not operation.path.endswith(STREAMS):
                found.append(operation)
    return found


def main(seconds: float) -> int:
    log = Log()
    logging.getLogger("orchestr").addHandler(log)
    ends, round_ = time.monotonic() + seconds, random.SystemRandom().randrange(1 << 30)
    with running() as path:
        fuzzer = Fuzzer(path, log)
        every = operations(fuzzer.documents())
        while time.monotonic() < ends:
            round_ += 1
            for operation in random.Random(round_).sample(every, len(every)):
                if time.monotonic() > ends:
                    break
                before = len(fuzzer.findings)
                try:
                    fuzz(fuzzer, operation, 10, round_)
                except Exception as error:
                    print(f"cannot make requests of {operation.label}: {error!r}"[:500], flush=True)
                for finding in fuzzer.findings[before:]:
                    print(finding, flush=True)
            print(f"{fuzzer.sent} requests, answers {dict(sorted(fuzzer.codes.items()))}", flush=True)
    return 1 if fuzzer.findings else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
