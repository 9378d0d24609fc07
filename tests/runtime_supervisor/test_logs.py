"""Writer and reader on real FIFOs and files: what goes in comes out, across rotation, restarts, cuts."""

import os
import signal
from collections.abc import Iterator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestr.runtime import logs
from orchestr.runtime.logs import Line
from orchestr.runtime.seam import LogSpec
from orchestr.runtime.supervisor import logfile, loghold
from orchestr.runtime.supervisor.logfile import Latest, LogHeld, Writer
from orchestr.runtime.tail import tail


class Source:
    """Both streams of a container: FIFOs, their writers, and the container's ends."""

    def __init__(self, directory: Path, max_bytes: int = 1 << 20, max_files: int = 3, *, hold: bool = False) -> None:
        self.spec = LogSpec(str(directory / "log"), max_bytes, max_files, hold)
        os.makedirs(self.spec.directory, exist_ok=True)
        self.directory = self.spec.directory
        self.writers, self.ends = {}, {}
        latest = Latest()
        for stream in logfile.STREAMS:
            place = str(directory / stream)
            if not os.path.exists(place):
                logfile.make_fifo(place)
            self.ends[stream] = os.open(place, os.O_RDWR | os.O_NONBLOCK)
            self.writers[stream] = Writer(self.spec, stream, os.open(place, os.O_RDWR | os.O_NONBLOCK), latest)

    def write(self, stream: str, data: bytes) -> None:
        while data:
            sent = os.write(self.ends[stream], data[:4096])
            data = data[sent:]
            self.pump()

    def pump(self) -> None:
        for writer in self.writers.values():
            while writer.pump():
                pass

    def end(self) -> None:
        self.pump()
        logfile.finish(self.directory)

    def close(self) -> None:
        for writer in self.writers.values():
            writer.close()
        for fd in self.ends.values():
            os.close(fd)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    made = Source(tmp_path)
    yield made
    made.close()


def joined(lines: list[Line], stream: str) -> bytes:
    return b"".join(line.data + (b"" if line.partial else b"\n") for line in lines if line.stream == stream)


def test_lines_come_out_in_order_with_stream_and_time(source: Source) -> None:
    source.write("stdout", b"one\ntwo\n")
    source.write("stderr", b"oh\n")
    source.write("stdout", b"three")
    lines = list(logs.read(source.directory))
    assert [(line.stream, line.data, line.partial) for line in lines] == [
        ("stdout", b"one", False),
        ("stdout", b"two", False),
        ("stderr", b"oh", False),
        ("stdout", b"three", True),
    ]
    times = [line.time_ns for line in lines]
    assert times == sorted(times)
    assert times[0] > 1_600_000_000 * 10**9


def test_one_stream_alone(source: Source) -> None:
    source.write("stdout", b"a\n")
    source.write("stderr", b"b\n")
    assert [line.data for line in logs.read(source.directory, stream="stderr")] == [b"b"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(logfile.STREAMS), st.binary(max_size=300)), max_size=20),
    st.integers(1, 200),
    st.integers(0, 8),
)
def test_whatever_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, bytes]], max_bytes: int, tail: int
) -> None:
    source = Source(tmp_path_factory.mktemp("log"), max_bytes, max_files=10_000)
    try:
        for stream, data in writes:
            source.write(stream, data)
        lines = list(logs.read(source.directory))
        for stream in logfile.STREAMS:
            assert joined(lines, stream) == b"".join(data for name, data in writes if name == stream)
        assert sorted(logs.read(source.directory, tail=tail)) == sorted(lines[len(lines) - min(tail, len(lines)) :])
        for name in os.listdir(source.directory):
            assert os.stat(f"{source.directory}/{name}").st_size <= max_bytes or name.endswith("idx")
    finally:
        source.close()


def test_rotation_keeps_the_newest_files_whole(tmp_path: Path) -> None:
    source = Source(tmp_path, max_bytes=1000, max_files=3)
    text = b"".join(b"line %d\n" % number for number in range(1000))
    source.write("stdout", text)
    names = sorted(os.listdir(source.directory))
    assert len([name for name in names if name.endswith(".log")]) == 3
    assert len([name for name in names if name.endswith(".idx")]) == 3
    kept = joined(list(logs.read(source.directory)), "stdout")
    assert 2000 < len(kept) <= 3000
    assert text.endswith(kept)
    source.close()


def test_a_line_longer_than_the_longest_comes_in_pieces(source: Source) -> None:
    data = b"x" * (logs.LONGEST * 3) + b"\nshort\n"
    source.write("stdout", data)
    lines = list(logs.read(source.directory))
    assert joined(lines, "stdout") == data
    assert max(len(line.data) for line in lines) <= 2 * logs.LONGEST
    assert lines[-1].data == b"short"


def test_since_leaves_out_what_came_before(source: Source) -> None:
    source.write("stdout", b"old\n")
    source.write("stderr", b"between\n")  # another stream's line begins a new entry
    source.write("stdout", b"new\n")
    new = list(logs.read(source.directory))[-1].time_ns
    assert [line.data for line in logs.read(source.directory, since_ns=new)][-1] == b"new"
    assert b"old" not in [line.data for line in logs.read(source.directory, since_ns=new)]


def test_a_directory_used_again_goes_on(tmp_path: Path) -> None:
    first = Source(tmp_path)
    first.write("stdout", b"before ")
    first.close()
    second = Source(tmp_path)
    second.write("stdout", b"after\n")
    assert joined(list(logs.read(second.directory)), "stdout") == b"before after\n"
    second.close()


def test_no_directory_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        list(logs.read("/nonexistent"))


def test_no_byte_is_lost_or_doubled_when_the_copier_is_killed(tmp_path: Path) -> None:
    """The pipe is held open, as by the container; each copier is killed as it runs."""
    source = Source(tmp_path, max_bytes=200_000, max_files=1000)
    for writer in source.writers.values():
        writer.close()
    keep = os.open(tmp_path / "stdout", os.O_RDWR)
    total = 6_000_000
    producer = os.fork()
    if producer == 0:
        os.set_blocking(keep, True)
        data, sent = b"".join(b"%08d\n" % number for number in range(total // 9 + 1))[:total], 0
        while sent < total:
            sent += os.write(keep, data[sent : sent + 3001])
        os._exit(0)
    for turn in range(30):
        copier = os.fork()
        if copier == 0:
            fifo = os.open(tmp_path / "stdout", os.O_RDWR | os.O_NONBLOCK)
            writer = Writer(source.spec, "stdout", fifo, Latest())
            while True:
                writer.pump()
        size = sum(p.stat().st_size for p in Path(source.directory).glob("stdout.*.log"))
        while size < min(total * (turn + 1) // 31, total):
            size = sum(p.stat().st_size for p in Path(source.directory).glob("stdout.*.log"))
        os.kill(copier, signal.SIGKILL)
        os.waitpid(copier, 0)
    fifo = os.open(tmp_path / "stdout", os.O_RDWR | os.O_NONBLOCK)
    writer = Writer(source.spec, "stdout", fifo, Latest())
    while os.waitpid(producer, os.WNOHANG) == (0, 0):
        writer.pump()
    while writer.pump():
        pass
    writer.close()
    got = joined(list(logs.read(source.directory)), "stdout")
    assert got == b"".join(b"%08d\n" % number for number in range(total // 9 + 1))[:total]
    os.close(keep)


async def test_follow_goes_on_until_the_end(tmp_path: Path) -> None:
    source = Source(tmp_path, max_bytes=500, max_files=100)
    got: list[bytes] = []
    changed = trio.Event()

    async def reader() -> None:
        nonlocal changed
        async for line in logs.follow(source.directory):
            got.append(line.data)
            changed.set()
            changed = trio.Event()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        for number in range(200):
            source.write("stdout", b"line %d\n" % number)
            if number % 10 == 0:
                with trio.fail_after(5):
                    while len(got) <= number:
                        await changed.wait()
        source.write("stdout", b"no newline")
        source.end()
    assert got == [b"line %d" % number for number in range(200)] + [b"no newline"]
    source.close()


async def test_follow_with_tail_begins_near_the_end(source: Source) -> None:
    source.write("stdout", b"".join(b"%d\n" % number for number in range(1000)))
    source.end()
    with trio.fail_after(5):
        assert [line.data async for line in logs.follow(source.directory, tail=3)] == [b"997", b"998", b"999"]


async def test_follow_ends_when_the_directory_is_removed(source: Source) -> None:
    async def remove() -> None:
        await trio.testing.wait_all_tasks_blocked(0.01)
        for name in os.listdir(source.directory):
            os.unlink(f"{source.directory}/{name}")
        os.rmdir(source.directory)

    source.write("stdout", b"x\n")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(remove)
        with trio.fail_after(5):
            assert [line.data async for line in logs.follow(source.directory)] == [b"x"]


async def test_nothing_is_removed_before_who_must_see_all_has_read_it(tmp_path: Path) -> None:
    source = Source(tmp_path, max_bytes=100, max_files=2, hold=True)
    loghold.make(source.directory, "stdout")
    with pytest.raises(LogHeld):
        source.write("stdout", b"x" * 1000)
    found = b""
    async with aclosing(tail(source.directory, "stdout", whole=True)) as pieces:  # type: ignore[type-var]
        async for piece in pieces:
            found += piece
            with suppress(LogHeld):
                source.pump()
            if len(found) == 1000:
                source.end()
    assert found == b"x" * 1000
    assert not loghold.held(source.directory, "stdout", 99)
    source.write("stdout", b"y" * 1000)  # he has gone
    source.close()
