"""Names that are not ours: asked of the machine's own name servers."""

import json
import time

import pytest

from e2e.network.world import Machine, Pod

DEAD = "192.0.2.9"


@pytest.fixture
def upstream(machine: Machine) -> Pod:
    """A name server of another machine."""
    neighbour = machine.neighbour()
    names = neighbour.space.start(
        "names", json.dumps({"example.com": "198.51.100.1", "big.example.com": "198.51.100.2"})
    )
    assert names.stdout
    assert names.stderr
    assert names.stdout.readline() == "ready\n", names.stderr.read()
    return neighbour


def test_other_names_are_asked_upstream_and_ours_are_not(machine: Machine, upstream: Pod) -> None:
    machine.upstreams("192.0.2.2")
    pod = machine.pod("web-0")
    machine.apply(machine.service("web", pod))
    for tcp in (False, True):
        assert machine.dig(pod.space, "example.com", tcp=tcp) == ("NOERROR", ["198.51.100.1"])
        assert machine.dig(pod.space, "nothing.example.com", tcp=tcp) == ("NXDOMAIN", [])
        assert machine.dig(pod.space, "web", tcp=tcp)[1] == [str(machine.networks.services4[1])]
    # Cut short over UDP: passed on as it is, so that the client asks again over TCP.
    assert machine.dig(pod.space, "big.example.com") == ("NOERROR", [])
    assert machine.dig(pod.space, "big.example.com", tcp=True) == ("NOERROR", ["198.51.100.2"])


def test_a_change_of_the_name_servers_counts_at_once(machine: Machine, upstream: Pod) -> None:
    pod = machine.pod()
    assert machine.dig(pod.space, "example.com")[0] == "SERVFAIL"
    machine.upstreams("192.0.2.2")
    assert machine.dig(pod.space, "example.com") == ("NOERROR", ["198.51.100.1"])
    machine.upstreams()
    assert machine.dig(pod.space, "example.com")[0] == "SERVFAIL"


def test_a_dead_name_server_holds_up_nothing_else(machine: Machine, upstream: Pod) -> None:
    pod = machine.pod("web-0")
    machine.apply(machine.service("web", pod))
    machine.upstreams(DEAD, "192.0.2.2")
    assert machine.dig(pod.space, "example.com") == ("NOERROR", ["198.51.100.1"])  # by the second, two seconds later
    machine.upstreams(DEAD)
    waiting = [pod.space.start("dig", str(machine.networks.gateway4), "example.com", "A", "udp") for _ in range(20)]
    began = time.monotonic()
    assert machine.dig(pod.space, "web") == ("NOERROR", [str(machine.networks.services4[1])])
    assert machine.dig(pod.space, "web", tcp=True)[0] == "NOERROR"
    assert [dig.poll() for dig in waiting].count(None) > 0, f"all had ended after {time.monotonic() - began} s"
    for dig in waiting:
        assert json.loads(dig.communicate(timeout=30)[0])[0] == "SERVFAIL"
