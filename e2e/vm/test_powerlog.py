"""The disk after a power cut: what was written and flushed, and nothing that was only written."""

import struct
from pathlib import Path

import pytest

from e2e.vm import powerlog

FLUSH, DISCARD = powerlog.FLUSH, powerlog.DISCARD


def sectors(*letters: bytes) -> bytes:
    return b"".join(letter * powerlog.SECTOR for letter in letters)


def log_of(path: Path, counted: int, *entries: tuple[int, int, bytes]) -> Path:
    """(sector, flags, data) each; the super block counts the first `counted`."""
    blocks = [struct.pack("<QQQI", powerlog.MAGIC, 1, counted, powerlog.SECTOR)]
    for sector, flags, data in entries:
        blocks.append(struct.pack("<QQQQ", sector, len(data) // powerlog.SECTOR, flags, 0))
        blocks += [] if flags & DISCARD else [data]
    padded = [block.ljust(-(-len(block) // powerlog.SECTOR) * powerlog.SECTOR, b"\0") for block in blocks]
    path.write_bytes(b"".join(padded))
    return path


def test_replay_stops_at_the_last_flush(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(sectors(b"a", b"b", b"c", b"d"))
    log = log_of(
        tmp_path / "log", 4, (0, 0, sectors(b"x")), (2, 0, sectors(b"y", b"z")), (1, DISCARD, sectors(b"-")),
        (0, FLUSH, b""), (1, 0, sectors(b"!")),
    )  # fmt: skip
    assert powerlog.replay(log, disk) == 4
    assert disk.read_bytes() == sectors(b"x", b"\0", b"y", b"z")


def test_an_entry_that_was_counted_and_not_written_ends_it(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(sectors(b"a"))
    log = log_of(tmp_path / "log", 3, (0, 0, sectors(b"x")), (0, 0, b""), (0, 0, sectors(b"!")))
    assert powerlog.replay(log, disk) == 1
    assert disk.read_bytes() == sectors(b"x")


def test_anything_else_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 1024)
    with pytest.raises(ValueError, match="not a log of writes"):
        powerlog.replay(tmp_path / "log", tmp_path / "log")
