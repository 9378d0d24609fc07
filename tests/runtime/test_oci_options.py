"""orch-oci's command line, in the forms that Docker, Podman, runc and crun use."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.runtime import lean
from orchestr.runtime.oci import command, events, exec, forms, kill, options, ps, state, update
from orchestr.runtime.oci.options import GLOBAL, Call, Option, take
from orchestr.runtime.seam import RuntimeFailure

KNOWN = {
    "bundle": Option("", "DIR", "b"),
    "env": Option("", "NAME=VALUE", "e"),
    "detach": Option("", short="d"),
    "tty": Option("", short="t"),
}
PLAIN = st.text("abc=./-", min_size=1).filter(lambda word: not word.startswith("-"))


def test_docker_and_podman_write_them_differently() -> None:
    docker = ["--root", "/r", "--log", "/l", "--log-format", "json"]
    podman = ["--log-format=json", "--log=/l", "--root=/r"]
    assert take(docker, GLOBAL, in_order=True) == take(podman, GLOBAL, in_order=True)


def test_what_follows_the_id_of_an_exec_is_the_command() -> None:
    assert take(["-e", "A=1", "ID", "ls", "-l"], KNOWN, in_order=True) == ({"env": ["A=1"]}, ["ID", "ls", "-l"])


@given(st.lists(PLAIN), st.lists(PLAIN))
def test_options_may_stand_anywhere_and_be_joined(before: list[str], after: list[str]) -> None:
    ways = (
        ["-dt", "-bX"],
        ["-d", "--tty", "-b", "X"],
        ["--detach=true", "-tty", "--bundle=X"],
        ["-tdb", "X"],
        ["-tdb=X"],
    )
    for words in ways:
        given_, rest = take([*before, *words, *after], KNOWN, in_order=False)
        assert given_ == {"detach": [""], "tty": [""], "bundle": ["X"]}
        assert rest == [*before, *after]


@given(st.lists(st.text()))
def test_after_two_dashes_all_are_words(words: list[str]) -> None:
    assert take(["--", *words], KNOWN, in_order=False) == ({}, words)


@given(st.lists(st.text()))
def test_any_words_are_taken_or_refused_in_one_way(words: list[str]) -> None:
    try:
        given_, rest = take(words, KNOWN, in_order=False)
    except RuntimeFailure:
        return
    assert set(given_) <= set(KNOWN)
    assert len(rest) <= len(words)


@given(st.lists(PLAIN, min_size=1))
def test_a_value_keeps_what_is_in_it(values: list[str]) -> None:
    words = [word for value in values for word in ("--env", value)]
    assert take(words, KNOWN, in_order=True)[0] == {"env": values}
    assert take([f"--env={value}" for value in values], KNOWN, in_order=True)[0] == {"env": values}


def test_a_flag_said_to_be_false_is_not_given() -> None:
    assert take(["--detach", "--detach=false"], KNOWN, in_order=True) == ({}, [])


@pytest.mark.parametrize("argv", [["--nope"], ["--bundle"], ["--detach=perhaps"], ["-x"], ["-dx"]])
def test_what_is_not_known_is_refused(argv: list[str]) -> None:
    with pytest.raises(RuntimeFailure, match="cannot use option"):
        take(argv, KNOWN, in_order=False)


def test_every_command_is_there_and_says_what_it_does() -> None:
    for name in command.MODULES:
        found = command.find(name)
        assert found.about
        for option, (about, _, short) in found.options.items():
            assert about, f"{name} --{option}"
            assert len(short) < 2


def test_the_log_is_not_written_for_a_command_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["nowhere", "-h"]) == 1
    assert "No help topic for 'nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize("name", command.MODULES)
@pytest.mark.parametrize("word", ["-h", "--help"])
def test_each_command_has_help(name: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run([name, word]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "NAME:"
    assert lines[1].startswith(f"   orch-oci {name} ")


def test_the_version_is_told_as_runc_tells_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["--version"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("orch-oci version ")
    assert lines[2] == "spec: 1.2.0"


@pytest.mark.parametrize("id", ["", "..", ".a", "a/b", "a b", "ä"])
def test_an_id_is_one_name(tmp_path: Path, id: str) -> None:
    with pytest.raises(RuntimeFailure, match="cannot use container ID"):
        state.make(str(tmp_path), id)


def test_an_id_is_made_once(tmp_path: Path) -> None:
    os.close(state.make(str(tmp_path), "x"))
    with pytest.raises(RuntimeFailure, match="container with given ID already exists"):
        state.make(str(tmp_path), "x")


def test_a_reused_pid_is_another_process(tmp_path: Path) -> None:
    assert state.start_time(os.getpid()) > 0
    gone = state.State("x", os.getpid(), 1, "/b", "/b/rootfs", "c", "", {})
    assert state.status(str(tmp_path), gone) == "stopped"
    assert state.open_process(gone) == -1


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("9", 9),
        ("KILL", 9),
        ("SIGKILL", 9),
        ("sigkill", 9),
        ("0", 0),
        ("RTMIN+1", 35),
        ("SIGRTMAX-1", 63),
        ("RTMAX", 64),
    ],
)
def test_signals_have_names_and_numbers(word: str, number: int) -> None:
    assert kill.signal_number(word) == number


@given(st.text().filter(lambda text: not text.isdigit()))
def test_no_other_word_is_a_signal(word: str) -> None:
    try:
        number = kill.signal_number(word)
    except RuntimeFailure:
        return
    assert 0 < number <= 64


@pytest.mark.parametrize(("text", "seconds"), [("5s", 5), ("100ms", 0.1), ("1m30s", 90), ("1.5s", 1.5), ("1h", 3600)])
def test_durations_are_gos(text: str, seconds: float) -> None:
    assert events.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "0s", "s", "1x", "-1s", "1..s"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(RuntimeFailure, match="--interval"):
        events.duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("512", 512), ("50M", 50 << 20), ("1g", 1 << 30), ("1.5KiB", 1536), ("-1", -1), ("2kb", 2048)]
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert update.size(text) == size


@given(st.integers(0, 2**63))
def test_a_size_without_a_unit_is_exact(number: int) -> None:
    assert update.size(str(number)) == number


def test_options_of_update_become_resources() -> None:
    given_ = {"memory": ["50M"], "cpu-quota": ["-1"], "cpuset-cpus": ["0-1"], "pids-limit": ["0"]}
    resources = update.of_options(Call("", {}, given_, ["x"]))
    assert resources == {"memory": {"limit": 50 << 20}, "cpu": {"quota": -1, "cpus": "0-1"}, "pids": {"limit": 0}}
    with pytest.raises(RuntimeFailure, match="--memory lots"):
        update.of_options(Call("", {}, {"memory": ["lots"]}, ["x"]))


def test_the_last_variable_of_a_name_wins() -> None:
    assert exec.environment(["A=1", "B=2"], ["A=3"]) == ["A=3", "B=2"]


def test_a_capability_is_added_where_it_has_effect() -> None:
    sets = exec.capabilities({"bounding": ["CAP_KILL"], "effective": []}, ["net_raw"])
    assert sets["bounding"] == ["CAP_KILL", "CAP_NET_RAW"]
    assert sets["effective"] == sets["permitted"] == ["CAP_NET_RAW"]
    assert sets["inheritable"] == sets["ambient"] == []


@pytest.mark.parametrize("text", ["-", "1000:", "1000:100", "1000"])
def test_a_user_is_numbers_or_a_name(text: str) -> None:
    found = exec.user({"uid": 1, "gid": 7}, Call("", {}, {"user": [text]}, []))
    assert found.get("username") == ("-" if text == "-" else None)
    if text != "-":
        assert found["uid"] == 1000
        assert found["gid"] == (100 if text.endswith(":100") else 7)


def test_only_lines_of_the_container_are_shown() -> None:
    lines = ["UID    PID  CMD", "root   1    init 2", "root   2    x"]
    assert ps.pick(lines, [2]) == [lines[0], lines[2]]
    with pytest.raises(RuntimeFailure, match="no column PID"):
        ps.pick(["a b"], [1])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.text(" \n\t"))
def test_lean_json_is_json(value: object, space: str) -> None:
    import json

    assert json.loads(lean.dumps(value)) == value
    assert lean.loads(space + json.dumps(value, indent=1) + space) == value


@given(st.text())
def test_lean_json_refuses_what_json_refuses(text: str) -> None:
    import json

    try:
        expected = json.loads(text, parse_constant=lambda name: json.loads("!"))
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            lean.loads(text)
    else:
        assert lean.loads(text) == expected


def test_options_are_known_by_one_letter_once() -> None:
    for name in command.MODULES:
        letters = [option.short for option in command.find(name).options.values() if option.short]
        assert len(letters) == len(set(letters)), name
    assert options.Call("r", {}, {}, ["x"]).id == "x"


def test_the_stand_in_for_typing_makes_the_same_tuples() -> None:
    from typing import Any, NamedTuple

    body = {
        "__module__": "m",
        "__annotations__": {"a": int, "b": "list[str]"},
        "b": (),
        "twice": lambda self: self.a * 2,
    }
    made: Any = type(forms.NamedTuple)("Made", (forms.NamedTuple,), dict(body))
    real: Any = type(NamedTuple("Real", [("a", int), ("b", list)])(1, []))
    assert made._fields == real._fields
    assert made(3).twice() == 6
    assert made(3)._replace(b=("x",)) == (3, ("x",))
    later = {key: value for key, value in body.items() if key != "__annotations__"}
    later["__annotate_func__"] = lambda _format: body["__annotations__"]  # of Python 3.14
    lazy: Any = type(forms.NamedTuple)("Made", (forms.NamedTuple,), later)
    assert lazy._fields == real._fields
    form: Any = forms.Form()
    assert form[int, str] | None | form is form
