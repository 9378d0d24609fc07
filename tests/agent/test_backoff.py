from hypothesis import given
from hypothesis import strategies as st

from orchestr.agent.backoff import CAP, FIRST, JITTER, STEADY, Backoff


def test_it_doubles_from_half_a_second_to_a_minute() -> None:
    backoff, delays = Backoff(), []
    for _ in range(10):
        backoff = backoff.after_run(0)
        delays.append(backoff.delay(lambda: 0.5))
    assert delays == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_good_while_forgets_everything() -> None:
    assert Backoff(9).after_run(STEADY).delay(lambda: 0.5) == 0
    assert Backoff(9).after_run(STEADY - 0.01) == Backoff(10)


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_the_delay_stays_in_its_bounds(failures: int, chance: float) -> None:
    delay = Backoff(failures).delay(lambda: chance)
    assert delay == 0 if failures == 0 else FIRST * (1 - JITTER) <= delay <= CAP * (1 + JITTER)
