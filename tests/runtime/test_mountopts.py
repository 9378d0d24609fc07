"""Mount options are a closed set."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.runtime import mountopts
from orchestr.runtime import syscalls as sc
from orchestr.runtime.seam import RuntimeFailure


def test_a_read_only_recursive_idmapped_bind() -> None:
    options = mountopts.parse(["rbind", "rro", "nosuid", "rslave", "idmap"], "bind", "/data")
    assert (options.bind, options.recursive, options.idmap) == (True, True, True)
    assert (options.on, options.deep_on) == (sc.MOUNT_ATTR_NOSUID, sc.MOUNT_ATTR_RDONLY)
    assert (options.propagation, options.deep_propagation) == (sc.MS_SLAVE, True)


def test_the_later_of_two_opposites_wins() -> None:
    options = mountopts.parse(["ro", "rw"], "bind", "/data")
    assert (options.on, options.off) == (0, sc.MOUNT_ATTR_RDONLY)


def test_relatime_is_not_the_recursive_form_of_something() -> None:
    assert mountopts.parse(["relatime"], "tmpfs", "/t").off == sc.MOUNT_ATTR_ATIME


@given(st.text(min_size=1, max_size=30))
def test_what_is_not_known_is_refused_and_never_passed_on(word: str) -> None:
    with suppress(RuntimeFailure):
        options = mountopts.parse([word], "tmpfs", "/t")
        assert {key.decode() for key, _ in options.parameters} <= {word.partition("=")[0]}


@pytest.mark.parametrize("word", ["lowerdir=/", "loop", "sizes=1m"])
def test_a_parameter_of_another_filesystem_is_refused(word: str) -> None:
    with pytest.raises(RuntimeFailure, match="not supported for bind"):
        mountopts.parse([word], "bind", "/data")


# runtime-spec config.md, "Linux mount options", less those that need more of an entry than the word
WORDS = (
    "async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime noexec "
    "noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime "
    "relatime remount rexec rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate "
    "rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime "
    "suid sync symfollow tmpcopyup unbindable idmap ridmap"
)


@given(st.lists(st.sampled_from(WORDS.split())), st.sampled_from(["tmpfs", "bind", "ext4", "none"]))
def test_all_that_the_specification_names_is_taken(words: list[str], fstype: str) -> None:
    options = mountopts.parse(words, fstype, "/m")
    assert not options.on & options.off & ~sc.MOUNT_ATTR_ATIME
    assert not options.deep_on & options.deep_off & ~sc.MOUNT_ATTR_ATIME
    assert not (options.bind and options.parameters)


def test_another_filesystem_gets_the_words_that_are_its_own() -> None:
    options = mountopts.parse(["ro", "lowerdir=/a:/b", "index=off", "loop"], "overlay", "/m")
    assert options.parameters == ((b"lowerdir", b"/a:/b"), (b"index", b"off"), (b"loop", None))


def test_what_a_bind_cannot_have_is_ignored_when_some_filesystem_knows_it() -> None:
    assert mountopts.parse(["mode=755", "size=1k", "sync"], "bind", "/m").parameters == ()
