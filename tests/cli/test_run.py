"""From the words of `orch run` to what is made of them."""

import argparse
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.agent.env import expand_all
from orchestr.api.scheme import decode
from orchestr.api.scheme import validate as wrong
from orchestr.cli import oneoff, run, runoptions
from orchestr.cli.errors import Bad
from orchestr.cli.exec import Detached, Leaving
from orchestr.cli.options import Parser
from orchestr.cli.running import keys
from orchestr.manifest.compose.support import TABLE


def parsed(*words: str) -> argparse.Namespace:
    parser = Parser(prog="orch run", allow_abbrev=False)
    run.add(parser)
    return parser.parse_args(words)


def made(*words: str, networks: tuple[str, ...] = ()) -> oneoff.Made:
    args = parsed(*words)
    given = {**runoptions.service(args), "image": args.image}
    return oneoff.of_image(given, networks, (), name="x", namespace="ns")


def test_every_option_is_a_key_of_compose() -> None:
    for option in runoptions.OPTIONS:
        path = f"services.*.{option.key}"
        assert path in TABLE or path.rpartition(".")[0] in TABLE, option


def test_words_behind_the_image_are_the_commands() -> None:
    args = parsed("-it", "--rm", "debian:12", "sh", "-c", "x", "--rm")
    assert (args.image, args.command, args.rm) == ("debian:12", ["sh", "-c", "x", "--rm"], True)
    assert runoptions.service(args) == {"stdin_open": True, "tty": True}


def test_an_image_becomes_a_pod_with_what_it_needs() -> None:
    found = made("-m", "64m", "-p", "127.0.0.1:81:80", "-v", "data:/d", "-l", "a=b", "-l", "c=d e", "redis:7")
    pod = found.pod
    assert pod["metadata"]["labels"] == {oneoff.RUN: "x", "a": "b"}
    assert pod["metadata"]["annotations"] == {"orchestr.dev/labels": '{"a":"b","c":"d e"}'}
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"memory": str(64 << 20)}
    assert [each["metadata"]["name"] for each in found.claims] == ["data"]
    assert found.service is not None
    assert found.service["spec"]["selector"] == {oneoff.RUN: "x"}
    for each in (pod, found.service, *found.claims):
        assert each["metadata"]["namespace"] == "ns"
        assert wrong(decode(each)) == []


def test_no_service_where_nobody_asks_for_a_name() -> None:
    assert made("redis").service is None
    on = made("redis", networks=("back",))
    assert on.pod["metadata"]["annotations"]["orchestr.dev/networks"] == "back"
    assert on.service is not None
    assert made("redis", networks=("host",)).pod["spec"]["hostNetwork"] is True


def test_limits_of_processes() -> None:
    found = made("--ulimit", "nofile=1024:2048", "--ulimit", "core=0", "--ulimit", "memlock=-1", "redis").pod
    limits = json.loads(found["metadata"]["annotations"]["orchestr.dev/ulimits"])
    assert {each["type"]: (each["soft"], each["hard"]) for each in limits} == {
        "RLIMIT_NOFILE": (1024, 2048), "RLIMIT_CORE": (0, 0), "RLIMIT_MEMLOCK": (2**64 - 1, 2**64 - 1),
    }  # fmt: skip


def test_a_healthcheck_never_kills() -> None:
    container = made("--health-cmd", "true", "--health-retries", "5", "redis").pod["spec"]["containers"][0]
    assert container["readinessProbe"]["failureThreshold"] == 5
    assert "livenessProbe" not in container


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-m", "much"), "orch run: --memory: cannot read size 'much'"),
        (("--runtime", "runsc"), "orch run: --runtime: not supported: runtime"),
        (("-p", "80"), "orch run: not supported: a port of the machine's own choice for 80 (write -p HOST:80)"),
        (("-p", "80:81-82"), "orch run: --publish: "),
        (("--ulimit", "nofile=many"), "orch run: --ulimit 'many' is no whole number"),
        (("-v", "data"), "--volume or --mount: 'data' is no absolute path"),
        (("--mount", "type=bind,nope=1"), "--mount type=bind,nope=1: not supported: nope"),
        (("--env-file", "/no/such"), "cannot read /no/such: No such file or directory"),
        (("-e", "=1"), "--env '=1' has no name"),
    ],
)
def test_what_cannot_be_is_told_by_the_option(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(Bad, match="orch run: ") as told:
        made(*words, "redis")
    assert message in str(told.value)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"))) | st.text("$(A)"))
def test_a_value_arrives_as_it_was_written(value: str) -> None:
    container = made("-e", f"A={value}", "redis").pod["spec"]["containers"][0]
    assert expand_all((container["env"][0]["value"],), {"A": "no"}) == (value,)


STACK: dict[str, Any] = {
    "spec": {
        "services": {
            "api": {"image": "a", "depends_on": {"db": {}}},
            "db": {"image": "d", "depends_on": {"disk": {}}},
            "disk": {"image": "k"},
            "other": {"image": "o"},
        },
        "volumes": {"data": {}},
    }
}


def test_what_a_service_needs_is_added_to_what_is_there() -> None:
    first = oneoff.around(STACK, "api", None, deps=True)
    assert first is not None
    assert set(first["spec"]["services"]) == {"db", "disk"}
    assert oneoff.around(STACK, "api", first, deps=True) is None
    there = {"spec": {"services": {"db": {"image": "older"}}}}
    more = oneoff.around(STACK, "api", there, deps=True)
    assert more is not None
    assert more["spec"]["services"]["db"] == {"image": "older"}
    assert oneoff.around(STACK, "api", None, deps=False)["spec"]["services"] == {}  # type: ignore[index]


@given(st.lists(st.binary(max_size=6)), st.sampled_from([b"\x10\x11", b"ab", b"aab"]))
def test_keys_that_leave_are_found_however_they_come(pieces: list[bytes], wanted: bytes) -> None:
    leaving, passed = Leaving(wanted), b""
    try:
        for piece in pieces:
            passed += leaving.typed(piece)
    except Detached:
        assert wanted in b"".join(pieces)
    else:
        assert wanted not in b"".join(pieces)
        assert passed + leaving.held == b"".join(pieces)


def test_keys() -> None:
    assert keys("ctrl-p,ctrl-q") == b"\x10\x11"
    assert (keys(""), keys("ctrl-@,x"), keys("ctrl-]")) == (b"", b"\x00x", b"\x1d")
    with pytest.raises(Bad, match="is no key"):
        keys("ctrl-pp")
