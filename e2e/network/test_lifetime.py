"""What lives on without the daemon, what heals, and what is left at the end."""

import json
import os
import signal

from e2e.network.world import Machine, eventually

SETTINGS = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")


def test_names_services_and_ports_live_on_without_the_daemon(machine: Machine) -> None:
    web, client = machine.pod("web-0"), machine.pod("client")
    web.space.serve("tcp", 8080, "web")
    machine.apply(machine.service("web", web, publish=[("", 8000)]))
    resolver = machine.do("resolver")
    machine.kill()
    assert client.space.ask(machine.networks.services4[1]) == f"web {client.link.ipv4}"
    assert machine.space.ask("::1", 8000).startswith("web")
    assert machine.dig(client.space, "web") == ("NOERROR", [str(machine.networks.services4[1])])
    machine.start()
    assert machine.do("resolver") == resolver
    assert client.space.ask(machine.networks.services4[1]) == f"web {client.link.ipv4}"
    machine.apply(machine.service("web", web, publish=[("", 8000)]))
    assert machine.space.ask("127.0.0.1", 8000).startswith("web")


def test_a_killed_resolver_is_replaced_and_knows_everything(machine: Machine) -> None:
    web = machine.pod("web-0")
    machine.apply(machine.service("web", web, publish=[("", 8000)]))
    first = machine.do("resolver")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: machine.do("resolver") not in (0, first))
    assert machine.dig(web.space, "web") == ("NOERROR", [str(machine.networks.services4[1])])


def test_a_flushed_table_and_a_deleted_bridge_come_back_without_the_daemon(machine: Machine) -> None:
    web, client = machine.pod("web-0"), machine.pod("client")
    web.space.serve("tcp", 8080, "web")
    machine.apply(machine.service("web", web))
    machine.kill()
    before = machine.space.run("ruleset")
    for flush in ("flush ruleset", f"delete table inet {machine.instance.table}"):
        machine.space.run("nft", *flush.split())
        eventually(lambda: machine.space.run("ruleset") == before, 3)
    machine.space.run("ip", "link", "delete", machine.instance.bridge)
    eventually(lambda: client.space.ask(machine.networks.services4[1]) == f"web {client.link.ipv4}")
    assert client.space.ask(machine.networks.services6[1]) == f"web {client.link.ipv6}"
    assert machine.dig(client.space, "web", tcp=True)[0] == "NOERROR"
    machine.start()


def test_stop_leaves_nothing(machine: Machine) -> None:
    def state() -> tuple[str, ...]:
        return machine.space.run("settings", *SETTINGS), machine.space.run("links"), machine.space.run("ruleset")

    pods = [machine.pod() for _ in range(3)]
    machine.apply(machine.service("web", *pods, publish=[("", 8000)]))
    assert json.loads(machine.space.run("settings", *SETTINGS)) == ["1", "1"]
    resolver = machine.do("resolver")
    machine.do("stop")
    assert state() == ('["0", "0"]', "lo", "")
    assert not os.path.exists(f"/proc/{resolver}")
    assert not [name for name in os.listdir(machine.run) if name.startswith(("network", "resolver"))]
