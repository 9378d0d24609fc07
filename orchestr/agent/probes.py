"""Probes: startup, readiness and liveness of one running container.

They run from here inside the pod's network, with no shell and no process of ours in the container: a socket is made in
the pod's network namespace and connected on the loop; only an exec probe starts a process. Probes with the same action
share their runs (a Compose healthcheck is readiness and liveness at once). Until the first success a readiness probe
is tried at shorter steps, so that a service counts as ready when it is, not when its period is over; such early tries
never count as failures.
"""

import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from orchestr.agent.netns import connect
from orchestr.api.core import Container, Probe
from orchestr.runtime.seam import ExecSpec, Runtime, RuntimeFailure

EAGER = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds between tries before the first success, then the period
BODY_LIMIT = 10 * 1024  # bytes of an answer that are read, as the kubelet does


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the probes of a container say now."""

    ready: bool
    started: bool
    message: str = ""  # of the last failure: "probe 3/5: connection refused"
    dead: bool = False  # liveness or startup has failed often enough: restart it


class Target(Protocol):
    """The container that is probed."""

    id: str
    address: str  # of the pod; "127.0.0.1" with host network

    def netns(self) -> int: ...


class ProbeFailure(Exception):
    """The container answered wrongly or not at all."""


async def watch(
    container: Container,
    target: Target,
    runtime: Runtime,
    tell: Callable[[Verdict], Awaitable[None]],
    ports: dict[str, int],
    *,
    since: float,
    known: Verdict | None = None,
) -> None:
    """Runs a container's probes until cancelled and tells each change. `since`: trio time of the start."""
    board = Board(container, tell, known)
    await board.publish()
    if container.startup_probe is not None and not board.started:
        await _startup(container.startup_probe, board, target, runtime, ports, since)
    pairs = _grouped(container)
    async with trio.open_nursery() as nursery:
        for readiness, liveness in pairs:
            nursery.start_soon(_steady, readiness, liveness, board, target, runtime, ports, since)


class Board:
    """Collects what the probes say and tells it when it changes."""

    def __init__(self, container: Container, tell: Callable[[Verdict], Awaitable[None]], known: Verdict | None) -> None:
        self.started = container.startup_probe is None or bool(known and known.started)
        self.passing = container.readiness_probe is None or bool(known and known.ready)
        self.message, self.dead, self._tell = "", False, tell
        self._told: Verdict | None = None

    async def publish(self) -> None:
        verdict = Verdict(self.started and self.passing, self.started, self.message, self.dead)
        if verdict != self._told:
            self._told = verdict
            await self._tell(verdict)


def _action(probe: Probe) -> str:
    return probe.but(
        initial_delay_seconds=None,
        failure_threshold=None,
        success_threshold=None,
        termination_grace_period_seconds=None,
    ).model_dump_json(exclude_none=True)


def _grouped(container: Container) -> list[tuple[Probe | None, Probe | None]]:
    ready, live = container.readiness_probe, container.liveness_probe
    if ready is not None and live is not None and _action(ready) == _action(live):
        return [(ready, live)]
    return [pair for pair in ((ready, None), (None, live)) if pair != (None, None)]


async def _startup(
    probe: Probe, board: Board, target: Target, runtime: Runtime, ports: dict[str, int], since: float
) -> None:
    await trio.sleep_until(since + (probe.initial_delay_seconds or 0))
    threshold, failures, tries = probe.failure_threshold or 3, 0, 0
    period = float(probe.period_seconds or 10)
    while True:
        problem = await _try(probe, target, runtime, ports)
        if problem is None:
            board.started, board.message = True, ""
            await board.publish()
            return
        early = sum(EAGER[:tries]) < period and tries < len(EAGER)
        failures += 0 if early else 1
        board.message = f"startup probe {failures}/{threshold}: {problem}"
        board.dead = failures >= threshold
        await board.publish()
        await trio.sleep(EAGER[tries] if early else period)
        tries += 1


async def _steady(
    readiness: Probe | None,
    liveness: Probe | None,
    board: Board,
    target: Target,
    runtime: Runtime,
    ports: dict[str, int],
    since: float,
) -> None:
    """One loop for a readiness probe, a liveness probe, or both when they ask the same thing."""
    probe = readiness or liveness
    assert probe is not None
    period = float(probe.period_seconds or 10)
    if readiness is None:
        await trio.sleep_until(since + (probe.initial_delay_seconds or 0))
    elif readiness.initial_delay_seconds:
        await trio.sleep_until(since + readiness.initial_delay_seconds)
    alive_from = since + (liveness.initial_delay_seconds or 0 if liveness else 0)
    successes = failures = deaths = tries = 0
    proven = board.passing and readiness is not None
    while True:
        problem = await _try(probe, target, runtime, ports)
        early = readiness is not None and not proven and tries < len(EAGER)
        if problem is None:
            successes, failures, deaths, proven = successes + 1, 0, 0, True
            if readiness is not None and successes >= (readiness.success_threshold or 1):
                board.passing, board.message = True, ""
        elif not early:
            successes, failures = 0, failures + 1
            if liveness is not None and (proven or trio.current_time() >= alive_from):
                deaths += 1
                board.dead = deaths >= (liveness.failure_threshold or 3)
            limit = (readiness or liveness or probe).failure_threshold or 3
            board.message = f"probe {min(failures, limit)}/{limit}: {problem}"
            if readiness is not None and (failures >= limit or not proven):
                board.passing = False
        elif not board.message:
            board.message = f"probe 0/{probe.failure_threshold or 3}: {problem}"
        await board.publish()
        await trio.sleep(EAGER[tries] if early and problem is not None else period)
        tries += 1


async def _try(probe: Probe, target: Target, runtime: Runtime, ports: dict[str, int]) -> str | None:
    """One run: None when it passed, else what went wrong."""
    limit = float(probe.timeout_seconds or 1)
    try:
        with trio.fail_after(limit):
            await _run(probe, target, runtime, ports)
    except trio.TooSlowError:
        return f"no answer within {limit:g} s"
    except (ProbeFailure, RuntimeFailure) as failure:
        return str(failure)
    except trio.BrokenResourceError:
        return "connection reset"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


async def _run(probe: Probe, target: Target, runtime: Runtime, ports: dict[str, int]) -> None:
    if probe.exec is not None:
        await _exec(probe.exec.command, target, runtime)
    elif probe.http_get is not None:
        await _http(probe, target, ports)
    elif probe.tcp_socket is not None:
        stream = await connect(target, probe.tcp_socket.host, _port(probe.tcp_socket.port, ports))
        await stream.aclose()


async def _exec(command: Sequence[str], target: Target, runtime: Runtime) -> None:
    session = await runtime.exec(ExecSpec(container=target.id, args=tuple(command)))
    try:
        output = await trio.to_thread.run_sync(_drain, session.stdout, session.stderr, abandon_on_cancel=True)
        code = await session.wait()
    except trio.Cancelled:
        with trio.CancelScope(shield=True), trio.move_on_after(2):
            await session.kill(9)
            await session.wait()
        raise
    finally:
        for descriptor in {session.stdin, session.stdout, session.stderr} - {-1}:
            os.close(descriptor)
    if code:
        said = output.decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(said) if line.strip()), "")  # of a traceback the one that tells
        raise ProbeFailure(f"exit code {code}" + (f": {last[:200]}" if last else ""))


def _drain(*descriptors: int) -> bytes:
    """What a probe prints, up to BODY_LIMIT; the rest is read and dropped so that it never blocks."""
    import selectors

    kept = b""
    with selectors.PollSelector() as selector:
        for descriptor in set(descriptors) - {-1}:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                try:
                    chunk = os.read(key.fd, 65536)
                except OSError:
                    chunk = b""
                if not chunk:
                    selector.unregister(key.fd)
                kept += chunk[: BODY_LIMIT - len(kept)]
    return kept


async def _http(probe: Probe, target: Target, ports: dict[str, int]) -> None:
    get = probe.http_get
    assert get is not None
    port = _port(get.port, ports)
    stream: trio.abc.Stream = await connect(target, get.host, port)
    if (get.scheme or "HTTP").upper() == "HTTPS":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as the kubelet: it asks, it does not trust
        stream = trio.SSLStream(stream, context, server_hostname=get.host or target.address)
    async with stream:
        headers = {
            "host": f"{get.host or target.address}:{port}",
            "user-agent": "orch-probe",
            "accept": "*/*",
            "connection": "close",
        }
        headers.update({header.name.lower(): header.value for header in get.http_headers})
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await stream.send_all(f"GET {get.path or '/'} HTTP/1.1\r\n{lines}\r\n".encode())
        answer = b""
        while b"\r\n" not in answer and len(answer) < BODY_LIMIT and (chunk := await stream.receive_some(4096)):
            answer += chunk
    words = answer.split(b"\r\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ProbeFailure("answer is not HTTP")
    if not 200 <= int(words[1]) < 400:
        raise ProbeFailure(f"HTTP status {int(words[1])}")


def _port(port: int | str, ports: dict[str, int]) -> int:
    """A number, or the name of one of the container's ports."""
    text = str(port)
    if text.isdigit():
        return int(text)
    if text not in ports:
        raise ProbeFailure(f"the container has no port named {text}")
    return ports[text]
