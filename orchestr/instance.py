"""Where one daemon keeps its things.

Several daemons live side by side on one machine; each is an *instance* whose name derives every directory, link,
nftables table, cgroup and address range. Whoever needs one of these names takes it from here, so that no two
instances ever touch each other's. Imports next to nothing: the CLI and the supervisor read it too.
"""

import ipaddress
import os
from typing import NamedTuple

NAME_LIMIT = 10  # a bridge is "orch-" + name, and IFNAMSIZ leaves 15 characters
VAR, RUN = "/var/lib", "/run"
LOCK = "daemon.lock"  # holds the pid; the lock itself is the kernel's, so a killed daemon leaves none


class InstanceError(ValueError):
    """The instance's name or one of its settings is unusable."""


class Instance(NamedTuple):
    """The names and places of one daemon."""

    name: str  # "" is the machine's own, unnamed instance
    state: str  # directory that survives a reboot
    run: str  # directory that need not survive a reboot
    bridge: str
    table: str  # nftables: table inet <table>
    cgroup: str  # parent cgroup, relative to each hierarchy's root, no leading slash
    pod_cidr: str  # IPv4 of pods, "" until chosen (named instances take a free range, kept in the store)
    service_cidr: str  # IPv4 of services, "" until chosen

    @property
    def socket(self) -> str:
        return os.path.join(self.run, "orch.sock")

    @property
    def supervisor_socket(self) -> str:
        return os.path.join(self.run, "supervisor.sock")

    @property
    def database(self) -> str:
        return os.path.join(self.state, "orch.db")


def instance(
    name: str | None = None,
    *,
    state: str | None = None,
    run: str | None = None,
    bridge: str | None = None,
    pod_cidr: str | None = None,
    service_cidr: str | None = None,
) -> Instance:
    """The instance called `name` (default: $ORCH_INSTANCE, else the unnamed one), single settings overridden.

    Raises InstanceError with what is wrong and what to write instead.
    """
    name = os.environ.get("ORCH_INSTANCE", "") if name is None else name
    if name and (
        len(name) > NAME_LIMIT or not name.isascii() or not name.replace("-", "a").isalnum() or name[0] == "-"
    ):
        raise InstanceError(
            f"cannot use instance name {name!r}: at most {NAME_LIMIT} letters, digits and '-' (choose a shorter one)"
        )
    suffix = f"-{name}" if name else ""
    for flag, value in (("--pod-cidr", pod_cidr), ("--service-cidr", service_cidr)):
        if value:
            try:
                ipaddress.IPv4Network(value)
            except ValueError as error:
                raise InstanceError(
                    f"cannot use {flag} {value}: {error} (give an IPv4 network such as 10.88.0.0/16)"
                ) from error
    return Instance(
        name=name,
        state=state or f"{VAR}/orch{suffix}",
        run=run or f"{RUN}/orch{suffix}",
        bridge=bridge or (f"orch-{name}" if name else "orch0"),
        table=f"orch_{name.replace('-', '_')}" if name else "orch",
        cgroup=f"orch{suffix}",
        pod_cidr=pod_cidr or ("" if name else "10.88.0.0/16"),
        service_cidr=service_cidr or ("" if name else "10.89.0.0/16"),
    )
