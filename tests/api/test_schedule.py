from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.api.schedule import ScheduleError, parse

NOON = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)  # a Thursday


def when(text: str, zone: str | None = "UTC", after: datetime = NOON) -> str:
    found = parse(text, zone).after(after)
    assert found is not None
    return f"{found:%Y-%m-%d %H:%M:%S}"


@pytest.mark.parametrize(
    ("text", "next_"),
    [
        ("* * * * *", "2026-01-01 12:01:00"),
        ("*/15 * * * *", "2026-01-01 12:15:00"),
        ("5/20 * * * *", "2026-01-01 12:05:00"),
        ("0 8-10,20 * * *", "2026-01-01 20:00:00"),
        ("0 0 * JAN-mar mon", "2026-01-05 00:00:00"),
        ("0 0 ? * ?", "2026-01-02 00:00:00"),
        ("0 0 15 * 6", "2026-01-03 00:00:00"),  # the 15th or a Saturday
        ("0 0 */2 * 6", "2026-01-03 00:00:00"),
        ("0 0 * * 6", "2026-01-03 00:00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00:00"),
        ("@yearly", "2027-01-01 00:00:00"),
        ("@monthly", "2026-02-01 00:00:00"),
        ("@weekly", "2026-01-04 00:00:00"),
        ("@daily", "2026-01-02 00:00:00"),
        ("@hourly", "2026-01-01 13:00:00"),
        ("@every 1h30m", "2026-01-01 13:30:30"),
        ("@every 1.5s", "2026-01-01 12:00:31"),
    ],
)
def test_the_next_time(text: str, next_: str) -> None:
    assert when(text) == next_


def test_a_step_in_the_days_of_the_month_is_no_star() -> None:
    """With a star the days of the month and of the week must both match; `*/2` is none in Kubernetes."""
    first = parse("0 0 */2 * 1", "UTC").after(datetime(2026, 1, 3, 1, tzinfo=UTC))
    assert first == datetime(2026, 1, 5, tzinfo=UTC)
    second = parse("0 0 */2 * 1", "UTC").after(datetime(2026, 1, 5, 1, tzinfo=UTC))
    assert second == datetime(2026, 1, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7"),
        *("*/0 * * * *", "5-1 * * * *", "x * * * *", "* * L * *", "* * * * 5#2", "* * LW * *", "* * * * 5L"),
        *("@never", "@every", "@every soon", "@every 1", "TZ=UTC * * * * *", "CRON_TZ=UTC 0 0 * * *", "*-5 * * * *"),
        *("0 0 31 2 *", "1,,2 * * * *", "²* * * * *"),
    ],
)
def test_what_kubernetes_does_not_take(text: str) -> None:
    with pytest.raises(ScheduleError):
        parse(text, "UTC")


@pytest.mark.parametrize("zone", ["", "Local", "local", "Mars/Olympus", "../../etc/passwd", "/etc/localtime"])
def test_what_is_no_time_zone(zone: str) -> None:
    with pytest.raises(ScheduleError):
        parse("* * * * *", zone)


def test_a_time_zone_moves_it() -> None:
    assert when("0 9 * * *", "Europe/Berlin") == "2026-01-02 08:00:00"
    assert when("0 9 * * *", "Europe/Berlin", datetime(2026, 7, 1, tzinfo=UTC)) == "2026-07-01 07:00:00"
    assert parse("0 9 * * *").after(NOON) is not None  # the machine's own


def test_the_night_in_which_the_clock_is_put_forward() -> None:
    """2:30 does not exist then: it runs right after the jump, once."""
    schedule = parse("30 2 * * *", "Europe/Berlin")
    first = schedule.after(datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert first == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert schedule.after(first) == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)
    assert schedule.latest(first - timedelta(hours=1), first) == first


@given(
    st.sampled_from(["* * * * *", "*/7 * * * *", "15 3 * * *", "0 0 1 * *", "0 12 * * 1-5", "@every 90s"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)),
    st.timedeltas(timedelta(0), timedelta(days=2)),
)
def test_latest_is_the_last_of_what_after_gives(text: str, zone: str, start: datetime, span: timedelta) -> None:
    schedule, since = parse(text, zone), start.replace(tzinfo=UTC, microsecond=0)
    now, found, count = since + span, None, 0
    moment = schedule.after(since)
    while moment is not None and moment <= now:
        found, count = moment, count + 1
        moment = schedule.after(moment)
    assert schedule.latest(since, now) == found
    assert schedule.missed(since, now, 100) == min(count, 100)
