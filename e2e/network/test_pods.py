"""Pods on the bridge: who reaches whom, and what a forger gets."""

import contextlib
from dataclasses import asdict

from e2e.network.world import Machine, Pod, eventually
from orchestr.network.addresses import hardware, port_name


def serving(pod: Pod, name: str) -> Pod:
    pod.space.serve("tcp", 8080, name)
    return pod


def test_pods_reach_each_other_and_the_machine_reaches_them_by_both_families(machine: Machine) -> None:
    one, two = machine.pod(), serving(machine.pod(), "two")
    assert one.space.ask(two.link.ipv4, 8080) == f"two {one.link.ipv4}"
    assert one.space.ask(two.link.ipv6, 8080) == f"two {one.link.ipv6}"
    assert machine.space.ask(two.link.ipv4, 8080) == f"two {machine.networks.gateway4}"
    assert machine.space.ask(two.link.ipv6, 8080) == f"two {machine.networks.gateway6}"


def test_the_same_holds_without_br_netfilter(machine: Machine) -> None:
    machine.space.run("setting", "net/bridge/bridge-nf-call-iptables", "0")
    machine.space.run("setting", "net/bridge/bridge-nf-call-ip6tables", "0")
    one, two, other = machine.pod(), serving(machine.pod(), "two"), serving(machine.pod("x", "shop/other"), "other")
    machine.apply(machine.service("web", two))
    assert one.space.ask(two.link.ipv4, 8080) == f"two {one.link.ipv4}"
    assert one.space.ask(machine.networks.services4[1]) == f"two {one.link.ipv4}"
    assert two.space.ask(machine.networks.services6[1]) == f"two {machine.networks.gateway6}"
    assert one.space.ask(other.link.ipv4, 8080) == "ConnectionRefusedError"


def test_attach_again_changes_nothing_and_a_new_namespace_takes_over(machine: Machine) -> None:
    one, two = machine.pod(), serving(machine.pod(), "two")
    machine.do("attach", link=asdict(two.link), netns=two.space.path)
    assert one.space.ask(two.link.ipv4, 8080) == f"two {one.link.ipv4}"
    again = Pod(two.link)
    machine.pods.append(again)
    machine.do("attach", link=asdict(again.link), netns=again.space.path)
    serving(again, "again")
    assert one.space.ask(two.link.ipv4, 8080) == f"again {one.link.ipv4}"


def test_pods_without_a_common_segment_cannot_talk(machine: Machine) -> None:
    front = serving(machine.pod("front", "shop/front"), "front")
    both = serving(machine.pod("both", "shop/front", "shop/back"), "both")
    back = serving(machine.pod("back", "shop/back"), "back")
    open_ = serving(machine.pod("open"), "open")
    machine.apply(machine.service("db", back))
    for client, reached in ((front, {"front", "both"}), (back, {"back", "both"}), (open_, {"open"})):
        found = set()
        for server in (front, both, back, open_):
            for address in (server.link.ipv4, server.link.ipv6):
                answer = client.space.ask(address, 8080)
                assert answer == "ConnectionRefusedError" or answer.startswith(server.link.name)
                found |= {server.link.name} if answer != "ConnectionRefusedError" else set()
        assert found == reached
    assert front.space.ask(machine.networks.services4[1]) == "ConnectionRefusedError"
    assert both.space.ask(machine.networks.services4[1]) == f"back {both.link.ipv4}"
    assert machine.space.ask(back.link.ipv4, 8080).startswith("back")


def header(pod: Pod, to: bytes, ethertype: str, source: bytes | None = None) -> str:
    return (to + (source or hardware(pod.link.ipv4))).hex() + ethertype


def ipv4(source: bytes, to: bytes, marker: str) -> str:
    """A UDP datagram to port 9 with a marker, without UDP checksum."""
    ip = bytes.fromhex("450000240000000040110000") + source + to
    total = sum(int.from_bytes(ip[at : at + 2], "big") for at in range(0, 20, 2))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = (~total & 0xFFFF).to_bytes(2, "big")
    return (ip[:10] + checksum + ip[12:]).hex() + "0009000900100000" + marker


def seen(machine: Machine, at: Pod | None, pod: Pod, frame: str, marker: str) -> bool:
    """Does the frame come out at another pod, or (None) at the machine's bridge?"""
    space, link = (at.space, "eth0") if at else (machine.space, machine.instance.bridge)
    listener = space.start("sniff", link, marker)
    assert listener.stdout
    assert listener.stdin
    assert listener.stdout.readline() == "ready\n"
    pod.space.run("frame", "it", frame)
    own = marker[::-1] * 2  # what surely arrives, sent after it, tells that the wait is over
    probe = machine.space.start("sniff", port_name(pod.link.pod), own)
    assert probe.stdout
    assert probe.stdout.readline() == "ready\n"
    pod.space.run("frame", "probe", header(pod, hardware(machine.networks.gateway4), "88b5") + own)
    assert probe.stdout.readline() == "seen\n"
    with contextlib.suppress(BrokenPipeError):  # it saw the frame and went
        listener.stdin.write("\n")
        listener.stdin.flush()
    return bool(listener.stdout.readline() == "seen\n")


def test_a_forger_is_not_heard(machine: Machine) -> None:
    forger, victim = machine.pod(), machine.pod()
    gateway = hardware(machine.networks.gateway4)
    broadcast = b"\xff" * 6
    good = ipv4(forger.link.ipv4.packed, machine.networks.gateway4.packed, "c0ffee0102030405")
    assert seen(machine, None, forger, header(forger, gateway, "0800") + good, "c0ffee0102030405")
    spoofed = ipv4(victim.link.ipv4.packed, machine.networks.gateway4.packed, "c0ffee1102030405")
    assert not seen(machine, None, forger, header(forger, gateway, "0800") + spoofed, "c0ffee1102030405")
    other_mac = header(forger, gateway, "0800", hardware(victim.link.ipv4))
    assert not seen(machine, None, forger, other_mac + good.replace("c0ffee01", "c0ffee21"), "c0ffee2102030405")
    # Straight to the victim, past the gateway.
    direct = ipv4(forger.link.ipv4.packed, victim.link.ipv4.packed, "c0ffee3102030405")
    to = hardware(victim.link.ipv4)
    assert not seen(machine, victim, forger, header(forger, to, "0800") + direct, "c0ffee3102030405")
    # ARP that says "the gateway's address is at my MAC", to all.
    arp = "0001080006040002" + (hardware(forger.link.ipv4) + machine.networks.gateway4.packed).hex()
    assert not seen(machine, victim, forger, header(forger, broadcast, "0806") + arp + "00" * 10, arp)
    # A router advertisement to all nodes, from the pod's true link-local address.
    source = bytes.fromhex("fe80000000000000") + bytes([hardware(forger.link.ipv4)[0] ^ 2])
    source += hardware(forger.link.ipv4)[1:3] + b"\xff\xfe" + hardware(forger.link.ipv4)[3:]
    nodes = bytes.fromhex("ff020000000000000000000000000001")
    advert = f"6000000000103aff{source.hex()}{nodes.hex()}86000000400007080000000000000000"
    frame = header(forger, bytes.fromhex("333300000001"), "86dd") + advert
    assert not seen(machine, victim, forger, frame, advert)
    assert not seen(machine, None, forger, header(forger, gateway, "86dd") + advert, advert)


def test_no_pod_reaches_the_loopback_of_the_machine(machine: Machine) -> None:
    pod = machine.pod()
    machine.space.serve("udp", 7000, "loopback")
    assert machine.space.ask("127.0.0.1", 7000, "askudp").startswith("loopback")
    bridge = machine.instance.bridge
    pod.space.run("ip", "link", "set", "lo", "down")
    pod.space.run("setting", "net/ipv4/conf/all/route_localnet", "1")
    pod.space.run("ip", "route", "flush", "table", "local")
    pod.space.run("ip", "route", "add", "127.0.0.0/8", "via", str(machine.networks.gateway4), "dev", "eth0")
    # It leaves the pod, and dies in the raw chain: the kernel's own martian check is off for this bridge.
    assert machine.space.run("settings", f"net/ipv4/conf/{bridge}/route_localnet") == '["1"]'
    assert pod.space.ask("127.0.0.1", 7000, "askudp") in ("TimeoutError", "ConnectionRefusedError")


def test_detach_removes_the_link_also_when_the_pod_is_gone(machine: Machine) -> None:
    one, two = machine.pod(), machine.pod()
    names = [port_name(pod.link.pod) for pod in (one, two)]
    assert all(name in machine.space.run("links") for name in names)
    machine.do("detach", pod=one.link.pod)
    assert names[0] not in machine.space.run("links")
    two.space.close()
    machine.pods.remove(two)
    eventually(lambda: names[1] not in machine.space.run("links"))
    machine.do("detach", pod=two.link.pod)
