"""Users are looked up in files that an image's author wrote."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr.runtime import users
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.users import User

PASSWD = "root:x:0:0::/root:/bin/sh\nredis:x:999:998::/data:/bin/sh\nhuge:x:4294967296:0::/:/bin/sh\n"
GROUP = "root:x:0:\nredis:x:998:\nlog:x:4:redis,root\n"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    fd = os.open(tmp_path, os.O_PATH)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("spec", "user"),
    [
        ("redis", User(999, 998, (4,), "/data")),
        ("redis:redis", User(999, 998, (), "/data")),
        ("999", User(999, 998, (4,), "/data")),
        ("1234", User(1234, 0, (), "")),
        ("1234:4321", User(1234, 4321, (), "")),
        ("redis:0", User(999, 0, (), "/data")),
    ],
)
def test_every_form(root: int, spec: str, user: User) -> None:
    assert users.resolve(root, spec) == user


@pytest.mark.parametrize("spec", ["nobody-here", "redis:nobody-here", "huge", "-1", "2147483647", "\u0661"])
def test_what_is_refused(root: int, spec: str) -> None:
    with pytest.raises(RuntimeFailure, match="cannot"):
        users.resolve(root, spec)


@given(
    st.one_of(
        st.integers(), st.text(), st.text("0123456789\u0661\u00b2"), st.integers(0, 9).map(lambda n: f"{n}" * 5000)
    )
)
def test_a_number_is_in_range_or_refused(value: int | str) -> None:
    with suppress(RuntimeFailure):
        assert 0 <= users.number(value, "uid") <= 2**31 - 2


def test_a_fifo_for_passwd_does_not_hang(tmp_path: Path, root: int) -> None:
    (tmp_path / "etc/passwd").unlink()
    os.mkfifo(tmp_path / "etc/passwd")
    with pytest.raises(RuntimeFailure, match="not in the image's /etc/passwd"):
        users.resolve(root, "redis")


def test_a_link_out_of_the_image_is_not_followed(tmp_path: Path, root: int) -> None:
    (tmp_path / "etc/passwd").unlink()
    (tmp_path / "etc/passwd").symlink_to("/../../../../etc/passwd")
    with pytest.raises(RuntimeFailure, match="cannot run as user"):
        users.resolve(root, "daemon")


@settings(max_examples=50)
@given(st.text(st.characters(exclude_characters="\n:", exclude_categories=["Cs"])))
def test_only_a_newline_ends_an_entry(comment: str) -> None:
    """Whoever may change his own comment (chfn) cannot write an entry: str.splitlines() knows ten more ends."""
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "etc").mkdir()
        text = f"evil:x:1000:1000:{comment}\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029app:x:0:0::/:/bin/sh\nsapp:x:5:5::/:\n"
        (Path(place) / "etc/passwd").write_bytes(text.encode())
        root = os.open(place, os.O_PATH)
        try:
            with pytest.raises(RuntimeFailure, match="not in the image's /etc/passwd"):
                users.resolve(root, "app")
            assert users.resolve(root, "sapp").uid == 5
        finally:
            os.close(root)


@settings(max_examples=50)
@given(passwd=st.binary(max_size=400), group=st.binary(max_size=400), spec=st.text())
def test_whatever_the_files_hold_an_identity_is_in_range_or_refused(passwd: bytes, group: bytes, spec: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "etc").mkdir()
        (Path(place) / "etc/passwd").write_bytes(b"app:x:" + passwd)
        (Path(place) / "etc/group").write_bytes(b"g:x:" + group)
        root = os.open(place, os.O_PATH)
        try:
            for name in (spec, "app", "app:g", "5:g"):
                with suppress(RuntimeFailure):
                    found = users.resolve(root, name)
                    assert all(0 <= id <= users.LAST_ID for id in (found.uid, found.gid, *found.groups))
        finally:
            os.close(root)


def test_names_that_are_no_text_are_told_apart(tmp_path: Path, root: int) -> None:
    (tmp_path / "etc/passwd").write_bytes(b"a\xff:x:0:0::/:\na\xfe:x:7:7::/:\n")
    assert users.resolve(root, os.fsdecode(b"a\xfe")).uid == 7
    with pytest.raises(RuntimeFailure, match="not in the image's"):
        users.resolve(root, "a\ufffd")


def test_a_very_long_number_is_refused(tmp_path: Path, root: int) -> None:
    """int() raises ValueError beyond 4300 digits, which nobody would word as an error."""
    (tmp_path / "etc/passwd").write_text(f"many:x:{'9' * 5000}:0::/:\n")
    with pytest.raises(RuntimeFailure, match="not a number from 0"):
        users.resolve(root, "many")
