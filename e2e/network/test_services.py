"""Services: balance, refusal, hairpin, published ports, draining."""

import json
from pathlib import Path

import pytest

from e2e.network.world import Machine, Pod, eventually


@pytest.fixture
def web(machine: Machine) -> tuple[Pod, Pod]:
    one, two = machine.pod("one"), machine.pod("two")
    for pod in (one, two):
        pod.space.serve("tcp", 8080, pod.link.name)
    return one, two


def test_a_service_is_balanced_over_its_pods(machine: Machine, web: tuple[Pod, Pod]) -> None:
    client = machine.pod()
    assert machine.apply(machine.service("web", *web)) == {}
    for address in (machine.networks.services4[1], machine.networks.services6[1]):
        for space in (client.space, machine.space):
            found = json.loads(space.run("many", str(address), "80"))
            assert set(found) == {"one", "two"}
            assert min(found.values()) > 20


def test_a_service_without_backends_refuses_at_once(machine: Machine, web: tuple[Pod, Pod]) -> None:
    client = machine.pod()
    machine.apply(machine.service("web"))
    for address in (machine.networks.services4[1], machine.networks.services6[1], machine.networks.services4[99]):
        assert client.space.ask(address) == "ConnectionRefusedError"
        assert machine.space.ask(address) == "ConnectionRefusedError"
    machine.apply(machine.service("web", web[0]))
    assert client.space.ask(machine.networks.services4[1]) == f"one {client.link.ipv4}"


def test_a_pod_reaches_itself_through_its_service(machine: Machine, web: tuple[Pod, Pod]) -> None:
    machine.apply(machine.service("web", web[0]))
    assert web[0].space.ask(machine.networks.services4[1]) == f"one {machine.networks.gateway4}"
    assert web[0].space.ask(machine.networks.services6[1]) == f"one {machine.networks.gateway6}"


def test_a_sticky_client_keeps_its_pod_when_others_come(machine: Machine, web: tuple[Pod, Pod]) -> None:
    client = machine.pod()
    address = str(machine.networks.services4[1])
    machine.apply(machine.service("web", *web, sticky=60))
    first = json.loads(client.space.run("many", address, "80"))
    assert list(first.values()) == [100]
    third = machine.pod("three")
    third.space.serve("tcp", 8080, "three")
    machine.apply(machine.service("web", *web, third, sticky=60))
    assert json.loads(client.space.run("many", address, "80")) == first
    machine.apply(*[machine.service("web", *[p for p in (*web, third) if p.link.name not in first], sticky=60)])
    assert not first.keys() & json.loads(client.space.run("many", address, "80")).keys()


@pytest.mark.parametrize("sticky", [0, 60])
def test_every_other_port_of_an_open_service_leads_to_the_same_port_of_a_pod(
    machine: Machine, web: tuple[Pod, Pod], sticky: int
) -> None:
    client, hidden = machine.pod(), machine.pod("hidden", "shop/other")
    for pod in web:
        pod.space.serve("tcp", 9000, f"{pod.link.name}-9000")
        pod.space.serve("udp", 9000, f"{pod.link.name}-udp")
    machine.apply(machine.service("web", *web, any_port=True, sticky=sticky))
    for address in (machine.networks.services4[1], machine.networks.services6[1]):
        for space in (client.space, machine.space):
            assert set(json.loads(space.run("many", str(address), "80"))) <= {"one", "two"}
            found = json.loads(space.run("many", str(address), "9000"))
            assert set(found) == {"one-9000", "two-9000"} if not sticky else len(found) == 1
            assert space.ask(address, 9000, "askudp").split()[0] in ("one-udp", "two-udp")
            assert space.ask(address, 9001) == "ConnectionRefusedError"  # by the pod
        assert hidden.space.ask(address, 9000) == "ConnectionRefusedError"
    machine.apply(machine.service("web", any_port=True, sticky=sticky))
    assert client.space.ask(machine.networks.services4[1], 9000) == "ConnectionRefusedError"
    machine.apply(machine.service("web", *web, sticky=sticky))
    assert client.space.ask(machine.networks.services4[1], 9000) == "ConnectionRefusedError"


def test_udp_follows_the_backends(machine: Machine) -> None:
    one, two, client = machine.pod("one"), machine.pod("two"), machine.pod()
    for pod in (one, two):
        pod.space.serve("udp", 8080, pod.link.name)
    address = str(machine.networks.services4[1])
    machine.apply(machine.service("dns", one, protocol="UDP"))
    assert client.space.run("askudp", address, "80", "5000").startswith("one")
    machine.apply(machine.service("dns", two, protocol="UDP"))
    assert client.space.run("askudp", address, "80", "5000").startswith("two")  # the same flow
    machine.apply(machine.service("dns", protocol="UDP"))
    assert client.space.run("askudp", address, "80", "5000") == "ConnectionRefusedError"


def test_an_established_flow_outlives_its_backend_in_the_service(machine: Machine, web: tuple[Pod, Pod]) -> None:
    client = machine.pod()
    machine.apply(machine.service("web", web[0]))
    flow = client.space.start("keep", str(machine.networks.services4[1]), "80")
    assert flow.stdin
    assert flow.stdout

    def said() -> str:
        assert flow.stdin
        assert flow.stdout
        flow.stdin.write("\n")
        flow.stdin.flush()
        return flow.stdout.readline().strip()

    assert said() == f"one {client.link.ipv4}"
    machine.apply(machine.service("web", web[1]))
    assert client.space.ask(machine.networks.services4[1]) == f"two {client.link.ipv4}"
    assert said() == f"one {client.link.ipv4}"
    assert machine.do("connections", address=web[0].link.ipv4) == 1
    flow.stdin.close()
    eventually(lambda: machine.do("connections", address=web[0].link.ipv4) == 0)


def test_a_published_port_is_reached_where_the_file_says(machine: Machine, web: tuple[Pod, Pod]) -> None:
    outside, gateway = machine.pod(), machine.networks.gateway4
    everywhere = machine.service("web", web[0], publish=[("", 8000)])
    inside = machine.service("admin", web[1], number=2, publish=[("127.0.0.1", 8001)])
    assert machine.apply(everywhere, inside) == {}
    assert machine.space.ask("127.0.0.1", 8000) == f"one {gateway}"
    assert machine.space.ask("::1", 8000) == f"one {gateway}"
    assert machine.space.ask(gateway, 8000).startswith("one")
    assert machine.space.ask("127.0.0.1", 8001) == f"two {gateway}"
    assert outside.space.ask(gateway, 8000) == f"one {outside.link.ipv4}"
    assert outside.space.ask(machine.networks.gateway6, 8000) == f"one {outside.link.ipv6}"
    assert outside.space.ask(gateway, 8001) == "ConnectionRefusedError"
    assert machine.space.ask("::1", 8001) == "ConnectionRefusedError"
    machine.apply(inside)
    assert machine.space.ask("127.0.0.1", 8000) == "ConnectionRefusedError"


def test_the_world_reaches_what_is_published_and_nothing_else(machine: Machine, web: tuple[Pod, Pod]) -> None:
    """A neighbour machine on a wire of its own."""
    neighbour = machine.neighbour()
    neighbour.space.run("ip", "route", "add", "10.64.0.0/10", "via", "192.0.2.1")
    neighbour.space.run("ip", "route", "add", "127.0.0.0/8", "via", "192.0.2.1", "table", "1")
    neighbour.space.serve("tcp", 80, "neighbour")
    local = machine.service("admin", web[1], number=2, publish=[("127.0.0.1", 8001)])
    machine.apply(machine.service("web", web[0], publish=[("", 8000)]), local)
    assert neighbour.space.ask("192.0.2.1", 8000) == "one 192.0.2.2"
    assert neighbour.space.ask("192.0.2.1", 8001) == "ConnectionRefusedError"
    assert neighbour.space.ask(web[0].link.ipv4, 8080) == "TimeoutError"
    assert web[0].space.ask("192.0.2.2") == "neighbour 192.0.2.1"  # masqueraded


def test_a_taken_port_names_its_holder_and_the_rest_is_in_force(machine: Machine, web: tuple[Pod, Pod]) -> None:
    holder = machine.space.serve("tcp", 8000, "other")
    comm = Path(f"/proc/{holder.pid}/comm").read_text().strip()
    services = [
        machine.service("web", web[0], publish=[("", 8000), ("", 8001)]),
        machine.service("zweb", web[1], number=2, publish=[("", 8001)]),
    ]
    refused = machine.apply(*services)
    assert refused == {"shop/web/80": f"{comm} (pid {holder.pid})", "shop/zweb/80": "service shop/web"}
    assert machine.space.ask("127.0.0.1", 8000).startswith("other")
    assert machine.space.ask("127.0.0.1", 8001).startswith("one")
    assert machine.space.ask(machine.networks.services4[2]).startswith("two")
    holder.kill()
    holder.wait()
    assert machine.apply(services[0]) == {}
    assert machine.space.ask("127.0.0.1", 8000).startswith("one")


def test_a_published_port_without_backends_refuses_and_stays_held(machine: Machine, web: tuple[Pod, Pod]) -> None:
    outside = machine.pod()
    for pods in ((), (web[0],), (), (web[1],)):
        assert machine.apply(machine.service("web", *pods, publish=[("", 8000)])) == {}
        for space, address in ((machine.space, "127.0.0.1"), (machine.space, "::1"), (outside.space, "10.70.0.1")):
            said = space.ask(address, 8000)
            assert said.startswith(pods[0].link.name) if pods else said == "ConnectionRefusedError"
        other = machine.space.start("tcp", "8000", "other")
        assert "Address already in use" in other.communicate()[1]


def test_a_published_udp_port_is_reached_and_follows_its_pod(machine: Machine) -> None:
    one, two, outside = machine.pod("one"), machine.pod("two"), machine.pod()
    for pod in (one, two):
        pod.space.serve("udp", 8080, pod.link.name)
    places = ((machine.space, "127.0.0.1"), (machine.space, "::1"), (outside.space, "10.70.0.1"))
    for pod in (one, two):
        machine.apply(machine.service("dns", pod, protocol="UDP", publish=[("", 8000)]))
        for space, address in places:
            assert space.ask(address, 8000, "askudp").startswith(pod.link.name)
    machine.apply(machine.service("dns", one, protocol="UDP", publish=[("127.0.0.1", 8000)]))
    assert outside.space.ask("10.70.0.1", 8000, "askudp") == "ConnectionRefusedError"


def test_a_sticky_client_is_free_again_when_the_time_is_over(machine: Machine, web: tuple[Pod, Pod]) -> None:
    address, client = str(machine.networks.services4[1]), machine.pod()
    machine.apply(machine.service("web", *web, sticky=1))
    found = {client.space.ask(address).split()[0]}
    assert machine.space.run("ruleset").count("expires") == 1
    eventually(lambda: "expires" not in machine.space.run("ruleset"))
    for _ in range(30):
        found.add(client.space.ask(address).split()[0])
        eventually(lambda: "expires" not in machine.space.run("ruleset"))
        if len(found) == 2:
            break
    assert found == {"one", "two"}


def test_nobody_else_can_take_a_published_port(machine: Machine, web: tuple[Pod, Pod]) -> None:
    machine.apply(machine.service("web", web[0], publish=[("127.0.0.1", 8000)]))
    machine.kill()
    other = machine.space.start("tcp", "8000", "other")
    assert "Address already in use" in other.communicate()[1]
    assert machine.space.ask("127.0.0.1", 8000).startswith("one")
    machine.start()
