"""What was acknowledged is there after a kill -9, a restart, a full disk, a broken row."""

import ctypes
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from orchestr.api.base import Key, ObjectMeta
from orchestr.api.core import ConfigMap, Namespace
from orchestr.api.errors import Expired, Unavailable
from orchestr.engine import EventType
from orchestr.store import StoreError
from tests.contract.clusters import local


def config(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data)


def burst(path: Path, run: int, lines: int) -> dict[str, str]:
    """Starts the writing child, kills it after so many acknowledgements; name -> last acknowledged state."""
    command = [sys.executable, str(Path(__file__).with_name("burst.py")), str(path), str(run)]
    told: dict[str, str] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(lines):
            name, state = child.stdout.readline().split()
            told[name] = state
        child.kill()
        for line in child.stdout:  # what was acknowledged until the kill; the last line may be cut
            if line.endswith("\n"):
                name, state = line.split()
                told[name] = state
    return told


async def test_everything_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    told: dict[str, str] = {}
    for run, lines in enumerate((1, 100, 333)):
        told |= await trio.to_thread.run_sync(burst, tmp_path, run, lines)
        async with local(tmp_path) as cluster:
            assert cluster.quarantined == ()
            there = {each.metadata.name: each.data["n"] for each in await cluster.list(ConfigMap)}
        for name, state in told.items():
            # The next write of the same worker may have been committed without its acknowledgement.
            after = {"0": ("0", "1"), "1": ("1", "gone"), "gone": ("gone",)}[state]
            assert there.get(name, "gone") in after, name
    assert len(told) > 100


async def test_history_from_before_a_restart_is_told_until_it_is_too_old(tmp_path: Path) -> None:
    async with local(tmp_path) as cluster:
        first = await cluster.create(config("a", k="1"))
        await cluster.update(config("a", k="2"))
        await cluster.delete(first)
        since = int(first.metadata.resource_version or 0)
    async with local(tmp_path) as cluster:
        async with cluster.watch(ConfigMap, since=since) as events:
            got = [await anext(events) for _ in range(2)]
        assert [event.type for event in got] == [EventType.MODIFIED, EventType.DELETED]
        assert (await cluster.create(config("b"))).metadata.resource_version == str(since + 3)


async def test_a_watch_from_a_revision_that_is_not_kept_expires(tmp_path: Path) -> None:
    async with local(tmp_path, keep=64) as cluster:
        first = await cluster.create(config("a"))
        since = int(first.metadata.resource_version or 0)
        slow = cluster.changes(ConfigMap, since=since)
        fast = cluster.changes(ConfigMap, since=since)
        for number in range(200):
            await cluster.update(config("a", k=str(number)))
            assert (await anext(fast)).new.object.metadata.name == "a"
        with pytest.raises(Expired):
            await anext(slow)
        with pytest.raises(Expired):
            cluster.changes(ConfigMap, since=since)


async def test_the_log_is_trimmed_and_its_floor_survives(tmp_path: Path) -> None:
    async with local(tmp_path, keep=32) as cluster:
        for number in range(600):
            await cluster.update(config("a", k=str(number))) if number else await cluster.create(config("a"))
    with sqlite3.connect(tmp_path / "orch.db") as connection:
        assert connection.execute("SELECT count(*) FROM log").fetchone()[0] < 200
    connection.close()
    async with local(tmp_path, keep=32) as cluster:
        with pytest.raises(Expired):
            cluster.changes(ConfigMap, since=5)


async def test_a_broken_row_is_put_aside_and_the_rest_works(tmp_path: Path) -> None:
    async with local(tmp_path) as cluster:
        await cluster.create(config("good"))
        await cluster.create(config("bad"))
    connection = sqlite3.connect(tmp_path / "orch.db")
    connection.execute("UPDATE objects SET data=? WHERE name='bad'", (b'{"kind":',))
    connection.execute("UPDATE log SET data=? WHERE revision=4", (b"{",))
    connection.commit()
    connection.close()
    for _ in range(2):  # it is still reported after another restart
        async with local(tmp_path) as cluster:
            assert [each.metadata.name for each in await cluster.list(ConfigMap)] == ["good"]
            (broken,) = cluster.quarantined
            assert broken[:3] == ("configmaps", "default", "bad")
            with pytest.raises(Expired):
                cluster.changes(ConfigMap, since=3)
            cluster.changes(ConfigMap, since=4)


async def test_a_newer_schema_is_refused_untouched(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "orch.db")
    connection.execute("PRAGMA user_version=99")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="schema version is 99"):
        async with local(tmp_path):
            raise AssertionError


async def test_a_store_in_use_is_refused(tmp_path: Path) -> None:
    async with local(tmp_path) as cluster:
        with pytest.raises(StoreError, match="another daemon uses it"):
            async with local(tmp_path):
                raise AssertionError
        await cluster.create(config("a"))


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "orch.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="cannot open the store"):
        async with local(tmp_path):
            raise AssertionError


async def test_one_failing_function_disturbs_no_other_of_its_batch(tmp_path: Path) -> None:
    async with local(tmp_path) as cluster:
        errors: list[Exception] = []

        async def create(name: str) -> None:
            try:
                await cluster.create(config(name))
            except Exception as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for index in range(40):
                nursery.start_soon(create, f"a{index // 2}")  # each name twice
        assert len(errors) == 20
        assert len(await cluster.list(ConfigMap)) == 20


async def test_a_cancelled_caller_neither_hangs_nor_harms(tmp_path: Path) -> None:
    async with local(tmp_path) as cluster:
        with trio.CancelScope() as scope:
            scope.cancel()
            await cluster.create(config("a"))
        await cluster.create(config("b"))
        names = [each.metadata.name for each in await cluster.list(ConfigMap)]
        assert names == ["a", "b"]  # it had been submitted, so it happened whole


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 12 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    libc = ctypes.CDLL(None, use_errno=True)
    target = tmp_path / "disk"
    target.mkdir()
    if libc.mount(b"orch-test", str(target).encode(), b"tmpfs", 0, b"size=12m"):
        pytest.skip(f"cannot mount a tmpfs: {os.strerror(ctypes.get_errno())}")
    yield target
    assert libc.umount2(str(target).encode(), 0) == 0


async def test_everything_can_be_deleted_from_a_disk_that_the_store_itself_filled(small_disk: Path) -> None:
    """Deletions write too, and what they delete goes into the history: more in all than the reserve holds."""
    made: list[ConfigMap] = []

    async def fill() -> None:
        for number in range(1000):
            made.append(await cluster.create(config(f"c{number}", k="x" * 500_000)))

    async with local(small_disk) as cluster:
        with pytest.raises(Unavailable, match="cannot write to the store"):
            await fill()
        for each in made:
            await cluster.delete(each)
        await cluster.create(config("again"))
    async with local(small_disk) as cluster:
        assert [each.metadata.name for each in await cluster.list(ConfigMap)] == ["again"]


async def test_a_full_disk_refuses_writes_whole_and_still_deletes(small_disk: Path) -> None:
    async with local(small_disk) as cluster:
        filler = small_disk / "filler"
        made: list[ConfigMap] = []
        with filler.open("wb", buffering=0) as file:
            free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize
            file.write(b"x" * (free - 1024 * 1024))

        async def fill() -> None:
            for number in range(1000):
                made.append(await cluster.create(config(f"c{number}", k="x" * 100_000)))

        with pytest.raises(Unavailable, match="cannot write to the store"):
            await fill()
        assert len(await cluster.list(ConfigMap)) == len(made) > 0
        with pytest.raises(Unavailable):
            await cluster.create(config("more", k="x" * 1_000_000))
        for each in made:
            await cluster.delete(each)
        assert await cluster.list(ConfigMap) == []
        filler.unlink()
        await cluster.create(config("again"))
        assert await cluster.get(Namespace, Key("", "default")) is not None
    async with local(small_disk) as cluster:
        assert [each.metadata.name for each in await cluster.list(ConfigMap)] == ["again"]
