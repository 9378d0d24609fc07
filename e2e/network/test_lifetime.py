"""What lives on without the daemon, what heals, and what is left at the end."""

import json
import os
import signal
from dataclasses import asdict
from pathlib import Path

from e2e.network.world import Machine, eventually
from orchestr.network.addresses import port_name

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


def test_a_removed_link_is_told_and_made_again(machine: Machine) -> None:
    web, client = machine.pod("web-0"), machine.pod("client")
    web.space.serve("tcp", 8080, "web")
    machine.apply(machine.service("web", web))
    machine.do("detach", pod=machine.pod().link.pod)  # nobody else's doing: not told
    machine.pods.pop()
    machine.space.run("ip", "link", "delete", port_name(web.link.pod))
    assert machine.do("lost") == web.link.pod
    machine.do("attach", link=asdict(web.link), netns=web.space.path)
    assert client.space.ask(machine.networks.services4[1]) == f"web {client.link.ipv4}"
    assert client.space.ask(web.link.ipv6, 8080) == f"web {client.link.ipv6}"


def test_pods_keep_their_links_when_the_bridge_is_removed_under_the_daemon(machine: Machine) -> None:
    web = machine.pod("web-0")
    web.space.serve("tcp", 8080, "web")
    machine.apply(machine.service("web", web))
    late = machine.pod("late")  # not in any state that was applied
    machine.space.run("ip", "link", "delete", machine.instance.bridge)
    eventually(lambda: late.space.ask(machine.networks.services4[1]) == f"web {late.link.ipv4}")
    latest = machine.pod("latest")
    assert latest.space.ask(web.link.ipv4, 8080) == f"web {latest.link.ipv4}"


def test_a_killed_resolver_comes_back_with_the_daemon(machine: Machine) -> None:
    web = machine.pod("web-0")
    machine.apply(machine.service("web", web, publish=[("", 8000)]))
    web.space.serve("tcp", 8080, "web")
    resolver = machine.do("resolver")
    machine.kill()
    os.kill(resolver, signal.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{resolver}/fd") or not os.listdir(f"/proc/{resolver}/fd"))
    # nftables needs no process: services and published ports go on, names do not.
    assert web.space.ask(machine.networks.services4[1]).startswith("web")
    assert machine.space.ask("127.0.0.1", 8000).startswith("web")
    machine.start()
    assert machine.do("resolver") not in (0, resolver)
    assert machine.dig(web.space, "web") == ("NOERROR", [str(machine.networks.services4[1])])
    assert machine.space.ask("::1", 8000).startswith("web")  # through the resolver's own socket


def test_the_last_instance_puts_the_settings_back(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "etc-resolv.conf").touch()
    name = f"{machine.name[:8]}-x"
    other = machine.space.start("driver", str(tmp_path / "other"), name, "10.80.0.0/16", "10.81.0.0/16")
    assert other.stdin
    assert other.stdout
    assert "started" in other.stdout.readline()
    machine.do("stop")
    assert json.loads(machine.space.run("settings", *SETTINGS)) == ["1", "1"]
    other.stdin.write('{"op": "stop"}\n')
    other.stdin.flush()
    assert "error" not in other.stdout.readline()
    assert json.loads(machine.space.run("settings", *SETTINGS)) == ["0", "0"]


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
