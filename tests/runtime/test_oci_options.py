"""orch-oci's command line, in the forms that Docker and Podman use."""

from pathlib import Path

import pytest

from orchestr.runtime.oci import options, state
from orchestr.runtime.seam import RuntimeFailure


def test_docker_and_podman_write_them_differently() -> None:
    docker = ["--root", "/r", "--log", "/l", "--log-format", "json", "create", "--bundle", "/b", "ID"]
    podman = ["--log-format=json", "--log=/l", "--root=/r", "create", "--bundle=/b", "ID"]
    assert options.parse(docker)[1:] == options.parse(podman)[1:] == ("create", {"bundle": ["/b"]}, ["ID"])
    assert options.parse(docker)[0] == options.parse(podman)[0]


def test_what_follows_the_id_of_an_exec_is_the_command() -> None:
    assert options.parse(["exec", "-e", "A=1", "ID", "ls", "-l"])[2:] == ({"env": ["A=1"]}, ["ID", "ls", "-l"])


@pytest.mark.parametrize("argv", [["checkpoint", "x"], ["--systemd-cgroup", "create", "x"], ["create", "--bundle"]])
def test_what_is_not_known_is_refused(argv: list[str]) -> None:
    with pytest.raises(RuntimeFailure, match="cannot"):
        options.parse(argv)


@pytest.mark.parametrize("id", ["", "..", "a/b", "a b", "ä"])
def test_an_id_is_one_name(tmp_path: Path, id: str) -> None:
    with pytest.raises(RuntimeFailure, match="cannot use container id"):
        state.make(str(tmp_path), id)


def test_a_reused_pid_is_another_process(tmp_path: Path) -> None:
    import os

    assert state.start_time(os.getpid()) > 0
    gone = state.State("x", os.getpid(), 1, "/b", "c", "", 0, True, {})
    assert state.status(str(tmp_path), gone) == "stopped"
