"""The resolver's messages, read by dnspython; and what anybody may send it."""

import contextlib
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import dns.flags
import dns.message
from hypothesis import given
from hypothesis import strategies as st

from orchestr.network.addresses import Bridge, hardware
from orchestr.network.resolver import wire
from orchestr.network.seam import Backend, Link, ServiceNet, ServicePort
from orchestr.network.statefile import Held, Snapshot, decode, encode

RECORD = wire.Record(wire.A, bytes([10, 0, 0, 1]))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_question_or_refused(data: bytes) -> None:
    with contextlib.suppress(wire.BadMessage):
        wire.parse(data)
    wire.refuse(data, wire.FORMERR)


@given(st.integers(0, 200), st.booleans(), st.booleans())
def test_answers_are_read_by_dnspython_and_fit(count: int, edns: bool, udp: bool) -> None:
    query = dns.message.make_query("Web.shop", "A", use_edns=0 if edns else -1)
    parsed = wire.parse(query.to_wire())
    assert parsed.labels == ("web", "shop")
    answer = wire.answer(parsed, wire.NOERROR, [RECORD] * count, zone=wire.encode(("cluster", "local")), udp=udp)
    read = dns.message.from_wire(answer, one_rr_per_rrset=True)
    assert query.is_response(read)
    assert not udp or len(answer) <= (1232 if edns else 512)
    truncated = bool(read.flags & dns.flags.TC)
    assert truncated or len(read.answer) == count
    assert len(read.authority) == (0 if count else 1)


def test_a_snapshot_survives_its_file() -> None:
    ipv4, ipv6 = IPv4Address("10.0.0.1"), IPv6Address("fd00::1")
    networks = IPv4Network("10.1.0.0/16"), IPv6Network("fd00:1::/64")
    port = ServicePort("http", "TCP", 80, (Backend(ipv4, ipv6, 8080),))
    snapshot = Snapshot(
        "orch",
        Bridge("orch0", hardware(ipv4), ipv4, ipv6, 16, *networks),
        (Link("uid", ipv4, ipv6, "shop", "web", "web", frozenset({"a", "b"})),),
        (ServiceNet("shop", "web", None, ipv6, (port,), (("web", ipv4, ipv6),), ("my_db",)),),
        (Held("tcp", "0.0.0.0", 80, (("10.0.0.1", 8080),)),),
    )
    assert decode(encode(snapshot)) == snapshot
