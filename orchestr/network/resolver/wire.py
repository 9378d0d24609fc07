"""DNS messages: one question in, an answer out. RFC 1035, RFC 6891 (EDNS).

Why not dnspython: importing dns.message takes 12 MB and 50 ms, more than the whole rest of this process, for messages
whose answers are five record types; what is forwarded is passed on unread. The tests read our answers with dnspython.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

A, PTR, SOA, TXT, AAAA, SRV, OPT, ANY = 1, 12, 6, 16, 28, 33, 41, 255
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
QR, AA, TC, RD, RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
HEADER = struct.Struct("!HHHHHH")
UDP_LIMIT, OUR_LIMIT = 512, 1232
TTL = 5  # seconds
NAME = b"\xc0\x0c"  # a pointer to the name in the question

Labels = tuple[str, ...]


class BadMessage(ValueError):
    """No question that can be answered; `rcode` says how to say so."""

    def __init__(self, rcode: int) -> None:
        super().__init__(f"rcode {rcode}")
        self.rcode = rcode


class Query(NamedTuple):
    number: int
    flags: int
    labels: Labels  # lower case
    kind: int
    question: bytes  # as it came
    limit: int  # bytes of a UDP answer
    edns: bool


class Record(NamedTuple):
    kind: int
    data: bytes


def parse(data: bytes) -> Query:
    """The one question of a message. BadMessage if it has another number of them, or is no question."""
    if len(data) < HEADER.size:
        raise BadMessage(FORMERR)
    number, flags, questions, _, _, additional = HEADER.unpack_from(data)
    if flags & QR:
        raise BadMessage(FORMERR)
    if flags & 0x7800:  # opcode
        raise BadMessage(NOTIMP)
    if questions != 1:
        raise BadMessage(FORMERR)
    labels, end = _labels(data, HEADER.size)
    if end + 4 > len(data):
        raise BadMessage(FORMERR)
    kind = struct.unpack_from("!H", data, end)[0]
    # An OPT record follows the question, or there is none that matters to us: its class is the size.
    edns = additional > 0 and data[end + 4 : end + 7] == b"\0\0\x29" and end + 9 <= len(data)
    limit = max(UDP_LIMIT, min(OUR_LIMIT, struct.unpack_from("!H", data, end + 7)[0])) if edns else UDP_LIMIT
    return Query(number, flags, labels, kind, data[HEADER.size : end + 4], limit, edns)


def answer(query: Query, rcode: int, records: Sequence[Record], *, zone: bytes = b"", udp: bool = True) -> bytes:
    """`zone` is the encoded name whose SOA goes into the authority section when there is no record."""
    body = b"".join(
        NAME + struct.pack("!HHIH", record.kind, 1, TTL, len(record.data)) + record.data for record in records
    )
    authority = b""
    if zone and not records:
        soa = zone + zone + struct.pack("!IIIII", 1, 7200, 1800, 86400, TTL)
        authority = zone + struct.pack("!HHIH", SOA, 1, TTL, len(soa)) + soa
    opt = b"\0" + struct.pack("!HHIH", OPT, OUR_LIMIT, 0, 0) if query.edns else b""
    flags = QR | AA | RA | (query.flags & RD) | rcode
    count = len(records)
    if udp and HEADER.size + len(query.question) + len(body) + len(authority) + len(opt) > query.limit:
        body, authority, count, flags = b"", b"", 0, flags | TC
    header = HEADER.pack(query.number, flags, 1, count, 1 if authority else 0, 1 if opt else 0)
    return header + query.question + body + authority + opt


def refuse(data: bytes, rcode: int) -> bytes:
    """An answer to what could not be parsed."""
    number, flags = struct.unpack_from("!HH", data.ljust(4, b"\0"))
    return HEADER.pack(number, QR | (flags & RD) | rcode, 0, 0, 0, 0)


def encode(labels: Labels) -> bytes:
    parts = [label.encode("latin-1")[:63] for label in labels]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def srv(port: int, target: Labels) -> Record:
    return Record(SRV, struct.pack("!HHH", 0, 100, port) + encode(target))


def _labels(data: bytes, start: int) -> tuple[Labels, int]:
    labels: list[str] = []
    first = start
    while True:
        if start >= len(data) or start - first > 255:
            raise BadMessage(FORMERR)
        length = data[start]
        start += 1
        if not length:
            return tuple(labels), start
        if length > 63 or start + length > len(data):  # also a compressed name, which no question needs
            raise BadMessage(FORMERR)
        labels.append(data[start : start + length].lower().decode("latin-1"))
        start += length
