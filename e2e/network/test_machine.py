"""What is looked at before an instance starts: addresses that are in use, and other firewalls."""

import json
from ipaddress import IPv4Network

from e2e.network.world import Machine
from orchestr.daemon.ranges import choose, routes


def test_ranges_keep_off_what_the_machine_routes(machine: Machine) -> None:
    def chosen() -> list[str]:
        return list(json.loads(machine.space.run("ranges", "other")))

    first = chosen()
    machine.neighbour()
    machine.space.run("ip", "route", "add", first[0], "via", "192.0.2.2")
    second = chosen()
    assert not IPv4Network(first[0]).overlaps(IPv4Network(second[0]))
    assert not any(IPv4Network(network).overlaps(IPv4Network(machine.instance.pod_cidr)) for network in second)


def test_ranges_on_this_very_machine() -> None:
    """Its routes, whatever they are, the bridges of running instances among them."""
    used = list(routes())
    for name in ("one", "two", ""):
        assert not any(mine.overlaps(other) for mine in choose(name, used) for other in used)


def test_a_firewall_that_drops_what_is_forwarded_is_found(machine: Machine) -> None:
    def found() -> list[object]:
        return list(json.loads(machine.space.run("check")))

    assert found()[1]
    machine.space.run("nft", "add table ip filter")
    machine.space.run("nft", "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }")
    name, good, text = found()
    assert (name, good) == ("forwarding", False)
    assert "ip filter FORWARD" in str(text)
    machine.space.run("nft", 'insert rule ip filter FORWARD iifname "orch*" accept')
    assert found()[1]
