"""Statistics and tables of bench/: nothing is measured here."""

import json
from pathlib import Path

import pytest

from bench import agent, output
from bench.image import LINE, LINES, docker_archive, rootfs
from bench.place import BenchError, Place
from bench.samples import OURS, Goal, Parts, Row, in_turn, spread


def row(ours: list[float], theirs: list[float], at_most: float = 1.0, **more: bool) -> Row:
    return Row("start", "ms", {OURS: ours, "docker": theirs}, Goal("faster", at_most, "docker"), **more)


def test_ratios_are_taken_within_a_round() -> None:
    assert row([1, 2], [10, 10]).ratios("docker") == [10, 5]
    assert row([10, 10], [1, 2], more_is_better=True).ratios("docker") == [10, 5]


def test_a_difference_within_the_noise_has_no_ratio_but_is_compared() -> None:
    noisy = row([-0.1, 0.1], [0.2, 0.3])
    assert noisy.ratios("docker") == []
    assert noisy.reached() is True


@pytest.mark.parametrize(("at_most", "reached"), [(0.1, True), (0.05, False)])
def test_a_goal_is_a_share_of_the_peers_value(at_most: float, reached: bool) -> None:
    assert row([1, 1, 1], [10, 11, 9], at_most).reached() is reached


def test_without_the_peer_or_a_goal_nothing_is_reached() -> None:
    assert Row("start", "ms", {OURS: [1]}, Goal("faster", 1.0, "docker")).reached() is None
    assert Row("start", "ms", {OURS: [1]}).reached() is None
    assert Row("start", "ms", {OURS: [1]}, Goal("2 ms", 2.0)).reached() is True


def test_spread_is_the_middle_half_or_everything_when_there_is_little() -> None:
    assert spread([3, 1, 2]) == (2, 1, 3)
    assert spread(range(1, 8)) == (4, 2, 6)


def test_sides_take_turns_and_each_round_begins_with_another() -> None:
    order: list[str] = []
    taken = in_turn({name: lambda name=name: len(order.append(name) or order) for name in "ab"}, rounds=2, warm=1)
    assert "".join(order) == "baabba"
    assert taken == {"a": [3, 6], "b": [4, 5]}


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0123, "0.012"), (5.678, "5.68"), (56.78, "56.8"), (567.8, "568"), (-0.5, "-0.500")]
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert output.number(value) == text


def test_the_table_says_who_is_not_here_and_what_is_missed() -> None:
    rows = [row([20, 20], [10, 10]), Parts("CPU", "s", {"daemon": [1.0]})]
    text = output.markdown(rows, {"podman": "not installed"}, "a machine")
    assert (
        "| start, ms | 20.0 (20.0-20.0) | 10.0 (10.0-10.0), **x0.500 (0.500-0.500)** | not here | faster | **no** |"
        in text
    )
    assert "- CPU, s: daemon 1.00" in text
    assert json.loads(output.as_json(rows, {}, "a machine"))["rows"][0]["reached"] is False


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    first = output.replace("# Performance\n", "one\n")
    assert first == f"# Performance\n\n{output.BEGIN}\none\n{output.END}\n"
    assert output.replace(first + "By hand.\n", "two\n") == first.replace("one", "two") + "By hand.\n"


def test_the_agent_times_a_command_and_tells_what_it_said(tmp_path: Path) -> None:
    with Place() as here:
        done = here.run("sh", "-c", "echo out; echo err >&2; exit 3", check=False)
        assert (done.out, done.err, done.code) == ("out\n", "err\n", 3)
        assert done.seconds > 0
        with pytest.raises(BenchError, match="exit code 3: err"):
            here.run("sh", "-c", "echo err >&2; exit 3")
        with pytest.raises(BenchError, match="FileNotFoundError"):
            here.run("no-such-program")
        here.ask("write", path=str(tmp_path / "a/b"), text="x")
    assert (tmp_path / "a/b").read_text() == "x"


def test_the_image_unpacks_to_what_the_measurements_use(tmp_path: Path) -> None:
    import base64

    layer = rootfs(b"program")
    agent.unpack(str(tmp_path), base64.b64encode(layer).decode())
    assert (tmp_path / "bin/busybox").read_bytes() == b"program"
    assert (tmp_path / "bin/sh").readlink() == Path("busybox")
    assert (tmp_path / "lines").stat().st_size == len(LINE) * LINES
    assert len(docker_archive(layer)) > len(layer)
