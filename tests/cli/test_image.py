"""What `orch image` sends and how it reads times and sizes."""

import tarfile
import time
from pathlib import Path

import pytest

from orchestr.cli import image, imagestore
from orchestr.cli.errors import Bad


def test_a_directory_goes_as_an_archive_and_an_archive_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("{}")
    with image._archive(str(tmp_path)) as file, tarfile.open(fileobj=file) as tar:
        assert sorted(tar.getnames()) == [".", "./index.json"]
    with image._archive(str(tmp_path / "index.json")) as file:
        assert file.read() == b"{}"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("1700000000", 1.7e9), ("2026-01-31T12:00:00Z", 1769860800.0),
     ("2026-01-31T13:00:00+01:00", 1769860800.0)],
)  # fmt: skip
def test_times_of_a_filter(text: str, seconds: float) -> None:
    assert imagestore._until([f"until={text}"]) == seconds


def test_a_filter_of_the_past_is_counted_from_now() -> None:
    found = imagestore._until(["until=1h", "until=24h"])
    assert found is not None
    assert 86_000 < time.time() - found < 90_000
    assert imagestore._until([]) is None


@pytest.mark.parametrize("text", ["until=", "until=yesterday", "label=x", "until=2026-13-01T00:00:00Z", "until=T"])
def test_what_is_no_filter(text: str) -> None:
    with pytest.raises(Bad, match="orch image prune"):
        imagestore._until([text])


@pytest.mark.parametrize(("count", "text"), [(0, "0B"), (999, "999B"), (1500, "1.5kB"), (2.5e9, "2.5GB")])
def test_sizes(count: int, text: str) -> None:
    assert imagestore.size(count) == text
