"""Users are looked up in files that an image's author wrote."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
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


@given(st.one_of(st.integers(), st.text()))
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
