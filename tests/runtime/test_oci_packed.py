"""orch-oci's modules in one file: made by the first run, as good as the modules, never older than they are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2] / "orchestr"
START = "import sys; sys.path.append({place!r}); from orchestr.runtime.oci import main; main()"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkout of what orch-oci needs."""
    copied = tmp_path / "orchestr"
    shutil.copytree(HERE / "runtime", copied / "runtime", ignore=shutil.ignore_patterns("__pycache__"))
    (copied / "__init__.py").write_text('__version__ = "0.1.0"\n')
    return copied


def state(place: Path, *flags: str) -> str:
    """What `orch-oci state` says of a container that is not there; with -v, also where each module came from."""
    script = START.format(place=str(place.parent))
    words = ["--root", str(place.parent / "state"), "state", "absent"]
    run = subprocess.run([sys.executable, "-IS", *flags, "-c", script, *words], capture_output=True, text=True)
    assert run.returncode == 1
    return run.stderr


def packs(place: Path) -> list[str]:
    return [path.name for path in (place / "runtime/oci/__pycache__").glob("*.pack*")]


def test_the_second_run_imports_from_the_pack(place: Path) -> None:
    first = state(place)
    assert packs(place) == [f"state.{sys.implementation.cache_tag}.pack"]
    told = state(place, "-v")
    assert first.strip() in told
    assert "runtime/oci/packed" in told
    assert "runtime/oci/listing" not in told
    assert "runtime/cgroups" not in told


def test_a_changed_source_counts_at_once(place: Path) -> None:
    state(place)
    source = place / "runtime/oci/state.py"
    source.write_text(source.read_text().replace("container does not exist", "there is no such container"))
    assert "there is no such container" in state(place)
    assert "there is no such container" in state(place)  # by the new pack
    assert len(packs(place)) == 1


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\0" * 4096])
def test_a_damaged_pack_is_made_anew(place: Path, damage: bytes) -> None:
    first = state(place)
    pack = place / "runtime/oci/__pycache__" / packs(place)[0]
    whole = pack.read_bytes()
    for data in (damage, whole[:100], whole[:-100], whole[:16] + damage):
        pack.write_bytes(data)
        assert state(place) == first
        assert pack.stat().st_size == len(whole)


def test_without_a_place_to_write_it_goes_on(place: Path) -> None:
    first = state(place, "-B")
    assert packs(place) == []
    folder = place / "runtime/oci/__pycache__"
    folder.write_text("not a directory")
    assert state(place) == first
    os.unlink(folder)
