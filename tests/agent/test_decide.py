"""What a pod needs next, for any state of its containers."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.agent.decide import Finish, MakeSandbox, Nothing, Start, Terminate, deadline, decide
from orchestr.agent.runs import Run
from orchestr.api.core import Container
from tests.agent.objects import pod, run

POLICIES = ("Always", "OnFailure", "Never")


def containers(*names: str) -> tuple[Container, ...]:
    return tuple(Container(name=name, image="busy") for name in names)


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("OnFailure", None, True),
    ]
    + [("Never", code, False) for code in (0, 1, None)],
)
def test_who_starts_again(policy: str, code: int | None, again: bool) -> None:
    step = decide(pod(restart_policy=policy), {"main": run(ended=True, code=code)}, sandbox=True, now=9.0)
    assert step == Start("main", False, 1) if again else isinstance(step, Finish) and step.succeeded == (code == 0)


def test_the_sandbox_comes_first_and_the_back_off_is_waited_for() -> None:
    assert decide(pod(), {}, sandbox=False, now=0.0) == MakeSandbox()
    assert decide(pod(), {}, sandbox=True, now=0.0) == Start("main", False, 0)
    waiting = {"main": run(ended=True, code=1, not_before=5.0)}
    assert decide(pod(), waiting, sandbox=True, now=4.0) == Nothing(5.0)
    assert decide(pod(), waiting, sandbox=True, now=5.0) == Start("main", False, 1)


def test_a_start_that_failed_is_tried_again_under_its_own_number() -> None:
    failed = Run("main", 2, "x", None)
    assert decide(pod(), {"main": failed}, sandbox=True, now=1.0) == Start("main", False, 2)


def test_init_containers_run_one_after_another() -> None:
    both = pod(init_containers=containers("one", "two"), restart_policy="Never")
    assert decide(both, {}, sandbox=True, now=0.0) == Start("one", True, 0)
    assert decide(both, {"one": run("one")}, sandbox=True, now=0.0) == Nothing()
    done = {"one": run("one", ended=True, code=0)}
    assert decide(both, done, sandbox=True, now=0.0) == Start("two", True, 0)
    failed = decide(both, {"one": run("one", ended=True, code=3)}, sandbox=True, now=0.0)
    assert failed == Finish(False, message="init container one failed: exited with code 3")


def test_the_deadline_and_deletion_end_everything() -> None:
    started = datetime.fromtimestamp(100, UTC)
    short = pod(active_deadline_seconds=10)
    short = short.but(status=short.status.but(start_time=started))
    assert deadline(short) == 110.0
    assert decide(short, {"main": run()}, sandbox=True, now=109.0) == Nothing(110.0)
    assert decide(short, {"main": run()}, sandbox=True, now=110.0) == Terminate("DeadlineExceeded")
    assert decide(short, {"main": run(ended=True, code=1, not_before=105.0)}, sandbox=True, now=101.0) == Nothing(105.0)
    deleted = short.but(metadata=short.metadata.but(deletion_timestamp=started))
    assert decide(deleted, {}, sandbox=False, now=0.0) == Terminate()


states = st.one_of(
    st.none(),
    st.just((False, 0, 0.0)),
    st.tuples(st.just(True), st.sampled_from([0, 1, None]), st.floats(0, 100)),
)


@given(
    st.sampled_from(POLICIES),
    st.lists(states, max_size=2),
    st.lists(states, min_size=1, max_size=3),
    st.booleans(),
    st.floats(0, 100),
)
def test_what_must_never_happen(policy: str, init: list[object], main: list[object], sandbox: bool, now: float) -> None:
    """Nothing running is started; nothing starts before its time; main waits for init; a finished pod runs nothing."""
    names = [f"i{n}" for n in range(len(init))], [f"m{n}" for n in range(len(main))]
    shape = pod(init_containers=containers(*names[0]), containers=containers(*names[1]), restart_policy=policy)
    runs = {
        name: run(name, ended=state[0], code=state[1], not_before=state[2])
        for name, state in zip([*names[0], *names[1]], [*init, *main], strict=True)
        if isinstance(state, tuple)
    }
    step = decide(shape, runs, sandbox=sandbox, now=now)
    assert not isinstance(step, Terminate)
    if isinstance(step, Start):
        assert sandbox
        known = runs.get(step.container)
        assert known is None or (known.exited and now >= known.not_before and policy != "Never")
        assert step.init or all(runs[name].succeeded for name in names[0])
    if isinstance(step, Finish):
        assert policy != "Always" or not step.succeeded
        assert not any(runs[name].running for name in names[1] if name in runs) or not step.succeeded
    if isinstance(step, Nothing) and step.until is not None:
        assert step.until > now
