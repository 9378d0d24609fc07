"""The resolver, asked from pods."""

from e2e.network.world import Machine


def test_all_forms_of_a_name(machine: Machine) -> None:
    one, two = machine.pod("web-a"), machine.pod("web-b")
    other = machine.pod("far", namespace="else")
    service = machine.service("web", one, two, aliases=("my_db",))
    headless = machine.service("db", one, two, addresses=(None, None))
    machine.apply(service, headless)
    ipv4, ipv6 = str(machine.networks.services4[1]), str(machine.networks.services6[1])
    pods = sorted(str(pod.link.ipv4) for pod in (one, two))
    full = "shop.svc.cluster.local"
    for tcp in (False, True):
        for name in ("web", "web.shop", "web.shop.svc", f"web.{full}", f"WEB.{full}", "my_db", f"my_db.{full}"):
            assert machine.dig(one.space, name, tcp=tcp) == ("NOERROR", [ipv4]), name
    assert machine.dig(one.space, "web", "AAAA") == ("NOERROR", [ipv6])
    assert machine.dig(one.space, "web", "MX") == ("NOERROR", [])
    assert machine.dig(one.space, f"nothing.{full}") == ("NXDOMAIN", [])
    assert machine.dig(other.space, "web.shop") == ("NOERROR", [ipv4])
    assert machine.dig(machine.space, "web.shop") == ("NOERROR", [ipv4])
    assert machine.dig(other.space, "web.else.svc.cluster.local") == ("NXDOMAIN", [])
    assert machine.dig(one.space, "db") == ("NOERROR", pods)
    assert machine.dig(one.space, "web-a") == ("NOERROR", [str(one.link.ipv4)])
    assert machine.dig(one.space, f"web-b.db.{full}") == ("NOERROR", [str(two.link.ipv4)])
    dashes = str(one.link.ipv4).replace(".", "-")
    assert machine.dig(one.space, f"{dashes}.shop.pod.cluster.local") == ("NOERROR", [str(one.link.ipv4)])
    assert machine.dig(one.space, f"_http._tcp.web.{full}", "SRV") == ("NOERROR", [f"0 100 80 web.{full}."])
    reverse = ".".join(reversed(ipv4.split("."))) + ".in-addr.arpa"
    assert machine.dig(one.space, reverse, "PTR") == ("NOERROR", [f"web.{full}."])
    assert machine.dig(one.space, machine.networks.services6[1].reverse_pointer, "PTR")[1] == [f"web.{full}."]


def test_names_stop_at_segments_and_a_new_pod_can_ask_at_once(machine: Machine) -> None:
    front, back = machine.pod("front", "shop/front"), machine.pod("back", "shop/back")
    machine.apply(machine.service("db", back))
    assert machine.dig(back.space, "db")[0] == "NOERROR"
    assert machine.dig(front.space, "db") == ("NXDOMAIN", [])
    assert machine.dig(front.space, "db.shop.svc.cluster.local") == ("NXDOMAIN", [])
    late = machine.pod("late", "shop/back")
    assert machine.dig(late.space, "db")[0] == "NOERROR"


def test_other_names_fail_fast_when_no_upstream_can_be_reached(machine: Machine) -> None:
    pod = machine.pod()
    assert machine.dig(pod.space, "example.com")[0] == "SERVFAIL"
