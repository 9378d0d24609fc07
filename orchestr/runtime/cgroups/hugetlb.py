"""hugetlb: how much of huge pages, by size; reservations where the kernel counts them (Linux 5.7), and faults."""

import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestr.runtime.cgroups.files import Setting
from orchestr.runtime.seam import RuntimeFailure

CONTROLLER: Final = "hugetlb"


def wanted(resources: Mapping[str, Any]) -> str:
    return "hugepageLimits" if resources.get("hugepageLimits") else ""


def v1(resources: Mapping[str, Any]) -> Iterator[Setting]:
    yield from _settings(resources, "limit_in_bytes")


def v2(resources: Mapping[str, Any]) -> Iterator[Setting]:
    yield from _settings(resources, "max")


def _settings(resources: Mapping[str, Any], file: str) -> Iterator[Setting]:
    for number, item in enumerate(resources.get("hugepageLimits") or ()):
        size, pointer = str(item["pageSize"]), f"hugepageLimits/{number}/limit"
        if size not in (known := sizes()):
            raise RuntimeFailure(
                f"cannot set /linux/resources/hugepageLimits/{number}/pageSize to {size!r}: no such huge pages here "
                f"({', '.join(known) or 'there are none'})"
            )
        yield Setting(pointer, f"hugetlb.{size}.{file}", str(item["limit"]))
        yield Setting(pointer, f"hugetlb.{size}.rsvd.{file}", str(item["limit"]), optional=True)


def sizes() -> list[str]:
    """As the names of the files have them: 2MB, 1GB."""
    try:
        found = sorted(int(name.removeprefix("hugepages-").removesuffix("kB")) for name in os.listdir(_KNOWN))
    except OSError:
        return []
    return [_named(size) for size in found]


_KNOWN: Final = "/sys/kernel/mm/hugepages"


def _named(kib: int) -> str:
    for unit, name in ((1 << 20, "GB"), (1 << 10, "MB")):
        if kib >= unit:
            return f"{kib // unit}{name}"
    return f"{kib}KB"
