"""Names that a neighbour exchanges while a container is launched: two containers share a root or a volume, one races.

What a race is lost by is a path that is resolved twice. None of these launches needs to succeed; none may end outside.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from e2e.runtime.bundles import Bundle, Done, Oci
from e2e.security.racing import Racer, swapping

SECONDS = 3.0  # of each race
ENOUGH = 1000  # exchanges for it to have been one


def launches(oci: Oci, *args: str, **changes: Any) -> Iterator[tuple[Bundle, Done]]:
    """Runs one container after the other until the time is over."""
    end, bundle = time.monotonic() + SECONDS, oci.bundle(*args, **changes)
    while time.monotonic() < end:
        yield bundle, bundle.run(code=None)
        oci("delete", "--force", bundle.id, code=None)


def raced(racer: Racer) -> None:
    assert racer.swaps > ENOUGH, f"no race: {racer.swaps} exchanges"


def test_masks_are_on_proc_wherever_that_is_moved(oci: Oci) -> None:
    """CVE-2025-31133, CVE-2023-27561: /proc is exchanged for an empty directory, where there is nothing to mask."""
    shared = oci.bundle().rootfs
    (shared / "empty").mkdir()
    script = """
        n=0
        until test -e /proc/version; do n=$((n+1)); test $n -lt 20000 || exit; done
        ( : >> /proc/sys/kernel/core_pattern ) 2> /dev/null && echo WRITABLE
        grep -q Version /proc/timer_list 2> /dev/null && echo READABLE
        echo seen
    """
    linux = {"maskedPaths": ["/proc/timer_list", "/proc/kcore"], "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"]}
    assert Path("/proc/timer_list").exists()
    with swapping(shared / "proc", shared / "empty") as racer:
        said = [done.out for _, done in launches(oci, "sh", "-c", script, root={"path": str(shared)}, linux=linux)]
    raced(racer)
    assert any("seen" in out for out in said), said
    assert [out for out in said if "ABLE" in out] == []
