"""rdma: handles and objects of each host channel adapter. Both versions have the same files."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestr.runtime.cgroups.files import Setting

CONTROLLER: Final = "rdma"


def wanted(resources: Mapping[str, Any]) -> str:
    return next((f"rdma/{name}" for name in resources.get("rdma") or ()), "")


def both(resources: Mapping[str, Any]) -> Iterator[Setting]:
    for name, item in (resources.get("rdma") or {}).items():
        words = [
            f"{word}={item[key]}"
            for key, word in (("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object"))
            if item.get(key) is not None
        ]
        if words:
            yield Setting(f"rdma/{name}", "rdma.max", " ".join((name, *words)))
