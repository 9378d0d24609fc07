"""The daemon's own parts: one daemon per directory, free addresses, one line an event."""

import logging
import os
import socket
import stat
import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.daemon.lines import OneLine
from orchestr.daemon.place import CannotStart, held
from orchestr.daemon.ranges import POOL, choose, routes, settled
from orchestr.daemon.systemd import notify
from orchestr.instance import LOCK, Instance, instance
from orchestr.server.listen import AddressInUse, unix_socket


@pytest.fixture
def place(tmp_path: Path) -> Instance:
    return instance("t", state=str(tmp_path / "state"), run=str(tmp_path / "run"))


def test_a_second_daemon_is_refused_with_the_pid_of_the_first(place: Instance) -> None:
    with held(place, None):
        assert stat.S_IMODE(os.stat(place.state).st_mode) == 0o700
        with (
            pytest.raises(CannotStart, match=rf"pid {os.getpid()} uses .* .orch --instance t system stop"),
            held(place, None),
        ):
            pass
    with held(place, None):  # free again
        pass


def test_the_lock_of_a_killed_daemon_is_gone(place: Instance) -> None:
    script = (
        "import sys, time; from orchestr.instance import instance; from orchestr.daemon.place import held\n"
        f"with held(instance('t', state={place.state!r}, run={place.run!r}), None):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(CannotStart, match=f"pid {other.pid}"), held(place, None):
            pass
        other.kill()
        other.wait()
    with held(place, None):
        assert Path(place.state, LOCK).read_text() == f"{os.getpid()}\n"


def test_the_socket_is_private_and_a_leftover_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with unix_socket(path) as first:
        assert stat.S_IMODE(os.stat(path).st_mode) & 0o007 == 0
        with pytest.raises(AddressInUse, match="another daemon"):
            unix_socket(path)
        first.close()
    with unix_socket(path):
        pass
    Path(tmp_path, "file").touch()
    with pytest.raises(AddressInUse, match="no socket"):
        unix_socket(str(tmp_path / "file"))


NETWORKS = st.builds(
    lambda number, bits: IPv4Network((number >> (32 - bits) << (32 - bits), bits)),
    st.integers(int(POOL[0]), int(POOL[-1])),
    st.integers(10, 32),
)


@given(st.text(max_size=10), st.lists(NETWORKS, max_size=12))
def test_ranges_overlap_nothing_and_are_the_same_next_time(name: str, taken: list[IPv4Network]) -> None:
    try:
        pods, services = choose(name, taken)
    except CannotStart:
        return
    assert not pods.overlaps(services)
    for chosen in (pods, services):
        assert chosen.subnet_of(POOL)
        assert not any(chosen.overlaps(other) for other in (*taken, IPv4Network("10.88.0.0/15")))
    assert choose(name, taken) == (pods, services)


def test_no_range_left() -> None:
    with pytest.raises(CannotStart, match="--pod-cidr"):
        choose("x", [POOL])


def test_ranges_are_kept(place: Instance) -> None:
    with held(place, None):
        first = settled(place)
        assert first.pod_cidr
        assert not any(IPv4Network(first.pod_cidr).overlaps(route) for route in routes())
        assert settled(place) == first
        assert settled(place._replace(pod_cidr="10.1.0.0/16")).service_cidr == first.service_cidr
        Path(place.state, "network.json").write_text("{")
        with pytest.raises(CannotStart, match=r"network\.json"):
            settled(place)


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notify("READY=1")  # nobody listens
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify("READY=1")
        assert systemd.recv(100) == b"READY=1"


def test_an_exception_is_one_line() -> None:
    try:
        raise ExceptionGroup("several", [ValueError("one\ntwo")])
    except ExceptionGroup:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "it\nfailed", (), sys.exc_info())
    line = OneLine().format(record)
    assert len(line.splitlines()) == 1
    assert "ERROR x it failed error=ValueError" in line
