import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.runtime.seam import Container, ContainerSpec, LogSpec, OomKill, Rootfs, RuntimeFailure, SandboxSpec
from orchestr.runtime.supervisor import wire
from orchestr.runtime.supervisor.records import Record, Records, SandboxRecord, checked_id

SPEC = ContainerSpec("c1", "pod", {"process": {"args": ["x"]}}, Rootfs(("/a", "/b"), "/u"), LogSpec("/l"), init=True)
CONTAINER = Container("c1", "pod", "exited", 7, 1.5, 2.5, 137, 9, OomKill(1, 2, "x pid 7"))


def test_specs_and_containers_survive_the_wire() -> None:
    assert wire.spec_from(wire.spec_to(SPEC)) == SPEC
    assert wire.container_from(wire.container_to(CONTAINER)) == CONTAINER
    sandbox = SandboxSpec("pod", "h", "orch/p", share_pid=True, sysctls={"net.x": "1"})
    assert wire.sandbox_from(wire.sandbox_to(sandbox)) == sandbox
    failure = wire.failure_from(wire.failure_to(RuntimeFailure("cannot", reason="R", exit_code=127)))
    assert (str(failure), failure.reason, failure.exit_code) == ("cannot", "R", 127)


def test_records_are_read_back_and_forgotten(tmp_path: Path) -> None:
    records = Records(str(tmp_path), "boot")
    records.new(SPEC)
    record = Record(CONTAINER, "orch/p/c1", 99, "boot")
    records.write(record)
    sandbox = SandboxRecord(SandboxSpec("pod", "h", "orch/p"), 5, 6, "boot")
    records.write_sandbox(sandbox)
    again = Records(str(tmp_path), "boot")
    assert again.containers() == [record]
    assert again.sandboxes() == [sandbox]
    assert again.spec("c1") == SPEC
    again.forget("c1")
    again.forget_sandbox("pod")
    assert not again.containers()
    assert not again.sandboxes()
    assert not os.listdir(records.directory("").rstrip("/"))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"container": 1}', b"\xff"])
def test_what_cannot_be_read_is_removed(tmp_path: Path, content: bytes) -> None:
    records = Records(str(tmp_path), "boot")
    records.new(SPEC)
    Path(records.directory("c1"), "record").write_bytes(content)
    (tmp_path / "sandboxes" / "pod").write_bytes(content)
    assert records.containers() == []
    assert records.sandboxes() == []
    assert not os.path.exists(records.directory("c1"))


def test_records_of_another_boot_are_nothing(tmp_path: Path) -> None:
    records = Records(str(tmp_path), "boot")
    records.new(SPEC)
    records.write(Record(CONTAINER, "orch/p/c1", 99, "boot"))
    assert Records(str(tmp_path), "later").containers() == []


@given(st.text(max_size=300))
def test_an_id_is_a_file_name_or_refused(id: str) -> None:
    try:
        assert checked_id(id) == id
    except RuntimeFailure:
        return
    assert os.path.basename(id) == id
    assert id not in ("", ".", "..")
