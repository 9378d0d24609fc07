"""io (v2) and blkio (v1): weight and throttling by device; bytes and operations so far."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from orchestr.runtime.cgroups.files import Setting, read
from orchestr.runtime.seam import RuntimeFailure

_THROTTLE: Final = (
    ("throttleReadBpsDevice", "read_bps_device", "rbps"),
    ("throttleWriteBpsDevice", "write_bps_device", "wbps"),
    ("throttleReadIOPSDevice", "read_iops_device", "riops"),
    ("throttleWriteIOPSDevice", "write_iops_device", "wiops"),
)


def wanted(resources: Mapping[str, Any]) -> str:
    block = resources.get("blockIO") or {}
    keys = ("weight", "leafWeight", "weightDevice", *(key for key, _, _ in _THROTTLE))
    return next((f"blockIO/{key}" for key in keys if block.get(key)), "")


def _weights(block: Mapping[str, Any], key: str) -> Iterator[tuple[str, str, int]]:
    """(pointer, "major:minor" or "", weight) of `weight` or `leafWeight`."""
    if block.get(key):
        yield f"blockIO/{key}", "", _checked(f"blockIO/{key}", block[key])
    for number, item in enumerate(block.get("weightDevice") or ()):
        if item.get(key):
            pointer = f"blockIO/weightDevice/{number}/{key}"
            yield pointer, f"{item['major']}:{item['minor']}", _checked(pointer, item[key])


def _checked(pointer: str, value: Any) -> int:
    if not 10 <= int(value) <= 1000:
        raise RuntimeFailure(f"cannot set /linux/resources/{pointer} to {value}: out of range (10 to 1000)")
    return int(value)


def _rates(block: Mapping[str, Any], index: int) -> Iterator[tuple[str, str, str, int]]:
    """(pointer, file of v1 or key of v2, "major:minor", rate); 0 is no limit."""
    for names in _THROTTLE:
        for number, item in enumerate(block.get(names[0]) or ()):
            yield f"blockIO/{names[0]}/{number}", names[index], f"{item['major']}:{item['minor']}", int(item["rate"])


def v1(resources: Mapping[str, Any], *, bfq: bool) -> Iterator[Setting]:
    """`bfq`: the weights belong to the bfq scheduler, which names its own files; cfq's are gone since Linux 5.0."""
    block = resources.get("blockIO") or {}
    prefix = "blkio.bfq." if bfq else "blkio."
    for pointer, device, weight in _weights(block, "weight"):
        yield Setting(pointer, f"{prefix}weight{'_device' if device else ''}", f"{device} {weight}".lstrip())
    for pointer, device, weight in _weights(block, "leafWeight"):
        yield Setting(pointer, f"blkio.leaf_weight{'_device' if device else ''}", f"{device} {weight}".lstrip())
    for pointer, file, device, rate in _rates(block, 1):
        yield Setting(pointer, f"blkio.throttle.{file}", f"{device} {rate}")


def v2(resources: Mapping[str, Any], *, bfq: bool) -> Iterator[Setting]:
    block = resources.get("blockIO") or {}
    for pointer, _, _ in _weights(block, "leafWeight"):
        raise RuntimeFailure(f"cannot set /linux/resources/{pointer}: cgroup v2 has no leaf weights (leave it out)")
    for pointer, device, weight in _weights(block, "weight"):
        value = weight if bfq else 1 + (weight - 10) * 9999 // 990  # 10..1000 on 1..10000, as runc and crun do
        yield Setting(pointer, "io.bfq.weight" if bfq else "io.weight", f"{device or 'default'} {value}")
    for pointer, name, device, rate in _rates(block, 2):
        yield Setting(pointer, "io.max", f"{device} {name}={rate or 'max'}")


class Moved(NamedTuple):
    """Since the cgroup was made."""

    read_bytes: int
    write_bytes: int


def moved_v1(directory: str) -> Moved:
    """blkio.throttle counts what goes to a device, whichever scheduler it has."""
    total = {"Read": 0, "Write": 0}
    text = read(f"{directory}/blkio.throttle.io_service_bytes_recursive")
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in total:
            total[words[1]] += int(words[2])
    return Moved(total["Read"], total["Write"])


def moved_v2(directory: str) -> Moved:
    total = {"rbytes": 0, "wbytes": 0}
    for line in read(f"{directory}/io.stat").splitlines():
        for name, equals, value in (word.partition("=") for word in line.split()[1:]):
            if equals and name in total:
                total[name] += int(value)
    return Moved(total["rbytes"], total["wbytes"])
