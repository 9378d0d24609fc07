"""Frames: whatever way they are cut, what was sent comes out; whatever is no frame breaks the connection."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.runtime.supervisor.protocol import FDS_LIMIT, FRAME_LIMIT, Decoder, ProtocolError, encode

bodies = st.dictionaries(
    st.text(max_size=8).filter(lambda key: key != "fds"), st.integers() | st.text(max_size=20) | st.none(), max_size=4
)


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


@given(st.lists(bodies, max_size=5), st.lists(st.integers(0, 40), max_size=10))
def test_messages_come_out_however_they_are_cut(sent: list[dict[str, object]], sizes: list[int]) -> None:
    decoder = Decoder()
    got = [m.body for part in cut(b"".join(map(encode, sent)), sizes) for m in decoder.feed(part, ())]
    assert got == sent


def test_descriptors_go_to_the_frame_that_announced_them() -> None:
    decoder = Decoder()
    first, second, third = encode({"a": 1}, 2), encode({"b": 2}), encode({"c": 3}, 1)
    messages = decoder.feed(first + second + third, [100, 101, 102])
    assert [message.fds for message in messages] == [(100, 101), (), (102,)]


@pytest.mark.parametrize(
    "data",
    [
        (FRAME_LIMIT + 1).to_bytes(4, "big"),
        b"\xff\xff\xff\xff",
        b"\0\0\0\2[]",
        b"\0\0\0\1{",
        b"\0\0\0\0",
        b"\0\0\0\2\xff\xff",
        encode({"a": 1}, 1),
        b"\0\0\0\x0a" + b'{"fds":-1}',
        b"\0\0\0\x0b" + b'{"fds":"x"}',
        (100_000).to_bytes(4, "big") + b"[" * 100_000,
    ],
)
def test_what_is_no_frame_breaks_the_connection(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(data, ())


@given(st.binary(max_size=64))
def test_noise_never_gives_anything_else_than_a_protocol_error(data: bytes) -> None:
    try:
        Decoder().feed(data, ())
    except ProtocolError:
        return


def test_descriptors_that_nobody_announced_are_refused_and_closed() -> None:
    fds = [os.open(os.devnull, os.O_RDONLY) for _ in range(FDS_LIMIT + 1)]
    decoder = Decoder()
    with pytest.raises(ProtocolError):
        decoder.feed(encode({}), fds)
    decoder.close()
    for fd in fds:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(fd)


def test_a_frame_over_the_limit_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="make the specification smaller"):
        encode({"a": "x" * FRAME_LIMIT})
