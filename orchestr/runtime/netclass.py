"""OCI `linux.resources.network` on cgroup v2, which has neither net_cls nor net_prio: by nftables.

A table of the container's in its network namespace gives what its processes send the class as skb->priority, which
classful queueing disciplines (HTB, ...) take for the class: nft(8) "socket cgroupv2" (Linux 5.13), "meta priority".
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestr.runtime import syscalls as sc
from orchestr.runtime.cgroups import layout
from orchestr.runtime.cgroups.layout import ROOT
from orchestr.runtime.seam import RuntimeFailure

_HANDLE: Final = 16  # bits of the minor number of a class


def wanted(resources: Mapping[str, Any]) -> bool:
    """Whether there is something for nftables to do."""
    network = resources.get("network") or {}
    return bool(network.get("classID") and _by_us("net_cls")) or bool(network.get("priorities") and _by_us("net_prio"))


def left(resources: Mapping[str, Any]) -> Mapping[str, Any]:
    """What remains for the files of cgroups."""
    network = resources.get("network")
    if not network:
        return resources
    kept = {key: value for key, value in network.items() if not _by_us("net_cls" if key == "classID" else "net_prio")}
    return {**resources, "network": kept}


def _by_us(controller: str) -> bool:
    found = layout()
    return bool(found.v2) and controller not in found.v1


def apply(resources: Mapping[str, Any], cgroup: str, namespace: int) -> None:
    """In a network namespace by descriptor, -1 for ours. The cgroup is there. RuntimeFailure, the kernel's reason."""
    said = _inside(namespace, rules(cgroup, layout().v2, resources["network"]))
    if said is not None:
        raise RuntimeFailure(
            f"cannot set /linux/resources/network: nftables says {said} (cgroup v2 has no net_cls and net_prio; "
            "CONFIG_NFT_SOCKET and CONFIG_SOCK_CGROUP_DATA are needed)",
            reason="StartError",
        )


def remove(cgroup: str, namespace: int) -> None:
    """Also where there is nothing of it."""
    table = _table(cgroup)
    _inside(namespace, f"add {table}\ndelete {table}\n")


def rules(cgroup: str, base: str, network: Mapping[str, Any]) -> str:
    """One transaction that replaces the container's table. Pure. `base`: where cgroup v2 is mounted."""
    if not f"{base}/".startswith(f"{ROOT}/"):
        raise RuntimeFailure(f"cannot set /linux/resources/network: cgroup v2 is at {base}, nftables looks in {ROOT}")
    table = _table(cgroup)
    below = f"{base}/{cgroup}"[len(ROOT) + 1 :]
    ours = f'socket cgroupv2 level {len(cgroup.split("/"))} "{below}"'
    lines = "\n".join(f"    {ours} {line}" for line in _lines(network))
    chain = "type filter hook output priority mangle; policy accept;"
    return f"add {table}\ndelete {table}\n{table} {{\n  chain output {{\n    {chain}\n{lines}\n  }}\n}}\n"


def _lines(network: Mapping[str, Any]) -> Iterator[str]:
    number = int(network.get("classID") or 0)
    if number and _by_us("net_cls"):
        yield f"meta priority set {number >> _HANDLE:x}:{number & 0xFFFF:x}"
    for item in network.get("priorities") or () if _by_us("net_prio") else ():
        name, priority = _name(str(item["name"])), int(item["priority"])
        yield f'oifname "{name}" meta priority set {priority >> _HANDLE:x}:{priority & 0xFFFF:x}'


def _name(name: str) -> str:
    if (
        not 0 < len(os.fsencode(name)) < 16
        or not name.isascii()
        or not name.isprintable()
        or set(name) & set('/:"*\\ ')
    ):
        raise RuntimeFailure(f"cannot use /linux/resources/network/priorities: {name!r} is no name of a device")
    return name


def _table(cgroup: str) -> str:
    from hashlib import sha256

    return f"table inet orch_class_{sha256(cgroup.encode()).hexdigest()[:12]}"


def _inside(namespace: int, text: str) -> str | None:
    """In a child, for who entered another namespace may not be let back. What nftables said when it refused."""
    from orchestr import nftables

    read, write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        try:
            if namespace >= 0:
                sc.call("setns", namespace, sc.CLONE_NEWNET)
            said = nftables.transaction(nftables.load(), text)
            os.write(write, b"" if said is None else (said.strip() or "nothing").encode()[:4000])
        except OSError as error:
            os.write(write, os.strerror(error.errno or 0).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, encoding="utf-8", errors="replace") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return next(iter(said.splitlines()), None)
