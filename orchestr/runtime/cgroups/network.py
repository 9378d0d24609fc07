"""net_cls and net_prio (v1): the class and the priority of what a container sends. v2 has neither controller."""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestr.runtime.cgroups.files import Setting


def class_wanted(resources: Mapping[str, Any]) -> str:
    return "network/classID" if (resources.get("network") or {}).get("classID") else ""


def priorities_wanted(resources: Mapping[str, Any]) -> str:
    return "network/priorities" if (resources.get("network") or {}).get("priorities") else ""


def net_cls(resources: Mapping[str, Any]) -> Iterator[Setting]:
    number = (resources.get("network") or {}).get("classID")
    if number is not None:
        yield Setting("network/classID", "net_cls.classid", str(number), optional=not number)


def net_prio(resources: Mapping[str, Any]) -> Iterator[Setting]:
    for number, item in enumerate((resources.get("network") or {}).get("priorities") or ()):
        yield Setting(f"network/priorities/{number}", "net_prio.ifpriomap", f"{item['name']} {item['priority']}")
