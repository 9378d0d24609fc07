"""A pod's status says what is, why not more, and what happens next."""

import pytest

from orchestr.agent.backoff import Backoff
from orchestr.agent.memory import remembered
from orchestr.agent.runs import Run, oom_text, parse_id, size
from orchestr.agent.status import UNKNOWN_EXIT, pod_status, terminated
from orchestr.api.core import PodStatus
from orchestr.runtime.seam import OomKill
from tests.agent.objects import UID, pod, record, run


def status(*runs: Run, policy: str = "Always", phase: str = "Running", **more: object) -> PodStatus:
    known = {each.container: each for each in runs}
    return pod_status(pod(restart_policy=policy), known, now=50.0, ips=("10.0.0.2",), host_ip="h", phase=phase, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("end", "reason", "code"),
    [
        ({"exit_code": 0}, "Completed", 0),
        ({"exit_code": 3}, "Error", 3),
        ({"exit_code": 137, "signal": 9}, "Error", 137),
        ({"exit_code": None}, "ContainerStatusUnknown", UNKNOWN_EXIT),
        ({"exit_code": 137, "signal": 9, "oom": OomKill(1 << 20, 1 << 20, "python pid 4")}, "OOMKilled", 137),
    ],
)
def test_how_a_run_ended(end: dict[str, object], reason: str, code: int) -> None:
    told = terminated(record(status="exited", **end))
    assert (told.reason, told.exit_code) == (reason, code)


def test_words_of_an_oom_kill() -> None:
    known = record(status="exited", oom=OomKill(64 << 20, 1536 << 10, None))
    assert oom_text(known) == "out of memory (limit 64Mi, peak 1.5Mi, victim unknown)"
    assert [size(n) for n in (None, 512, 1 << 40)] == ["0", "512", "1Ti"]


def test_a_crash_loop_says_when_the_next_try_is() -> None:
    (told,) = status(run(attempt=1, ended=True, code=3, not_before=60.0, backoff=Backoff(2))).container_statuses
    assert told.state.waiting is not None
    assert told.state.waiting.reason == "CrashLoopBackOff"
    assert told.state.waiting.message == "exited with code 3; next try at 00:01:00Z (try 3)"
    assert told.last_state.terminated is not None
    assert (told.restart_count, told.ready) == (1, False)


@pytest.mark.parametrize(("policy", "code"), [("Never", 127), ("Never", None)])
def test_a_start_that_failed_keeps_its_exit_code(policy: str, code: int | None) -> None:
    failed = Run("main", 0, "x", None, reason="ExecutableNotFound", message="cannot run it", exit_code=code)
    (told,) = status(failed, policy=policy).container_statuses
    assert told.state.terminated is not None
    assert (told.state.terminated.exit_code, told.state.terminated.reason) == (code or 128, "ExecutableNotFound")


def test_a_failing_start_still_shows_how_the_run_before_ended() -> None:
    before = run(ended=True, code=5).record
    (told,) = status(Run("main", 1, "x", None, reason="StartError", message="m", previous=before)).container_statuses
    assert told.last_state.terminated is not None
    assert told.last_state.terminated.exit_code == 5


def test_conditions_say_what_the_probe_saw_and_keep_their_time() -> None:
    unready = status(run(message="probe 1/3: connection refused"))
    ready = unready.condition("Ready")
    assert ready is not None
    assert (ready.status, ready.message) == ("False", "probe 1/3: connection refused")
    old = pod().but(status=unready)
    again = pod_status(old, {"main": run()}, now=90.0, ips=(), host_ip="h", phase="Running")
    moved = pod_status(old, {"main": run(ready=True)}, now=90.0, ips=(), host_ip="h", phase="Running")
    assert again.condition("Ready").last_transition_time == ready.last_transition_time  # type: ignore[union-attr]
    assert moved.condition("Ready").last_transition_time != ready.last_transition_time  # type: ignore[union-attr]


def test_what_is_remembered_is_what_was_told() -> None:
    """Status written, daemon gone, status read: the run is known again; what still ran then has ended unseen."""
    (running,) = status(
        run(attempt=2, ready=True, started=True, previous=run(ended=True, code=4).record)
    ).container_statuses
    known = remembered(UID, running)
    assert known is not None
    assert (known.attempt, known.ready, known.exited, known.succeeded) == (2, True, True, False)
    assert known.record is not None
    assert known.record.exit_code is None
    assert known.previous is not None
    assert known.previous.exit_code == 4
    (waiting,) = status(run(attempt=2, ended=True, code=6)).container_statuses
    known = remembered(UID, waiting)
    assert known is not None
    assert known.record is not None
    assert (known.attempt, known.record.exit_code, known.backoff.failures) == (2, 6, 2)
    (fresh,) = status().container_statuses
    assert remembered(UID, fresh) is None


def test_ids_are_read_back() -> None:
    assert parse_id(run("main", 12).id) == (UID, "main", 12)
    assert parse_id("stranger") is None
    assert parse_id("a.b.c") is None
