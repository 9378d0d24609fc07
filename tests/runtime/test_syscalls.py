"""What a failed call says of itself."""

import errno
import os

import pytest

from orchestr.runtime import syscalls as sc
from orchestr.runtime.plan import launch_error
from orchestr.runtime.steps import Step


def test_a_failed_call_names_itself_its_arguments_and_what_the_errno_means() -> None:
    root = os.open("/", sc.O_PATH)
    try:
        with pytest.raises(OSError, match="No such file") as missing:
            sc.openat2(root, "no/such", os.O_RDONLY)
        with pytest.raises(OSError, match="magic link") as magic:
            sc.openat2(root, "proc/self/exe", os.O_RDONLY)
    finally:
        os.close(root)
    assert missing.value.strerror == "No such file or directory (openat2(2))"
    assert str(missing.value).startswith(
        f'openat2({root}, "no/such", O_CLOEXEC, RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT)'
    )
    assert magic.value.errno == errno.ELOOP
    assert magic.value.strerror.endswith("(openat2(2): the path leads through a magic link or too many links)")


def test_a_failed_step_says_the_same() -> None:
    step = Step("set uid", "the process", sc.NR["setresuid"], (5, 5, 5))
    told = str(launch_error("web", step, errno.EINVAL, False))
    assert told == (
        "cannot set uid on the process of web: Invalid argument "
        "(setresuid(2): the id is not mapped in the user namespace; see /linux/uidMappings)"
    )
