"""io (v2) and blkio (v1): weight and throttling by device."""

from collections.abc import Iterator, Mapping
from typing import Any

_THROTTLE = (
    ("throttleReadBpsDevice", "read_bps_device", "rbps"),
    ("throttleWriteBpsDevice", "write_bps_device", "wbps"),
    ("throttleReadIOPSDevice", "read_iops_device", "riops"),
    ("throttleWriteIOPSDevice", "write_iops_device", "wiops"),
)


def v1(block: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if block.get("weight"):
        yield "blkio.bfq.weight", str(block["weight"])
    for key, file, _ in _THROTTLE:
        for item in block.get(key) or ():
            yield f"blkio.throttle.{file}", f"{item['major']}:{item['minor']} {item['rate']}"


def v2(block: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if block.get("weight"):
        yield "io.bfq.weight", str(block["weight"])
    for key, _, name in _THROTTLE:
        for item in block.get(key) or ():
            yield "io.max", f"{item['major']}:{item['minor']} {name}={item['rate']}"
