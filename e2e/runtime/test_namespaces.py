"""linux.namespaces, timeOffsets, sysctl, hostname, netDevices on the kernel. Quoted: runtime-spec config-linux.md."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute, NetlinkError

from e2e.runtime.bundles import NAMESPACES, Oci, attachable

PROC = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": "mnt", "cgroup": "cgroup", "time": "time"}
IDS = [{"containerID": 0, "hostID": 1_800_000, "size": 65536}]


def listed(*kinds: str, **paths: str) -> dict[str, Any]:
    entries = [{"type": kind} for kind in kinds] + [{"type": kind, "path": path} for kind, path in paths.items()]
    return {"linux": {"namespaces": entries}}


def without(kind: str) -> tuple[str, ...]:
    return tuple(name for name in NAMESPACES if name != kind)


@pytest.fixture
def other() -> Iterator[Callable[..., int]]:
    """Processes in namespaces of their own."""
    started = []

    def start(*options: str) -> int:
        process = subprocess.Popen(
            ["unshare", *options, "sh", "-c", "echo ready; exec sleep 1000"], stdout=subprocess.PIPE
        )
        started.append(process)
        assert process.stdout
        process.stdout.readline()
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def of(pid: int | str, kind: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{PROC.get(kind, kind)}")


@pytest.mark.parametrize("kind", sorted(PROC))
def test_a_type_without_a_path_is_new(oci: Oci, kind: str) -> None:
    """ "If path is not specified, the runtime MUST create a new container namespace of type `type`"."""
    bundle = oci.bundle().config(listed(*dict.fromkeys((*NAMESPACES, kind)))).up()
    assert of(bundle.pid, kind) != of("self", kind)


@pytest.mark.parametrize("kind", sorted(set(PROC) - {"pid"}))
def test_a_type_that_is_not_listed_is_the_runtimes(oci: Oci, kind: str) -> None:
    """ "If a namespace type is not specified, the container MUST inherit the runtime namespace of that type"."""
    attachable(kind)
    bundle = oci.bundle("ls", "/")
    bundle.config({"hostname": None, **listed(*without(kind))})
    assert "proc" in bundle.run().out.split()
    second = oci.bundle().config({"hostname": None, **listed(*without(kind))}).up()
    assert of(second.pid, kind) == of("self", kind)
    if kind == "mount":
        assert oci.mounts() == []
        assert "etc" in second.exec("ls", "/").out.split()


@pytest.mark.parametrize("kind", sorted(set(PROC) - {"time"}))
def test_a_path_is_joined(oci: Oci, other: Callable[..., int], kind: str) -> None:
    """ "The runtime MUST place the container process in the namespace associated with that path"."""
    attachable(kind)
    flag = {"network": "net"}.get(kind, kind)
    pid = other(f"--{flag}", *(("--fork", "--kill-child") if kind == "pid" else ()))
    name = "pid_for_children" if kind == "pid" else PROC[kind]
    path = f"/proc/{pid}/ns/{name}"
    bundle = oci.bundle().config(listed(*without(kind), **{kind: path})).up()
    assert of(bundle.pid, kind) == of(pid, name)
    assert bundle.exec("readlink", "/proc/self/ns/uts").out.strip() == of(bundle.pid, "uts")
    assert "bundle" not in bundle.exec("ls", "/").out


def test_a_user_namespace_by_path_gives_its_mappings(oci: Oci, other: Callable[..., int]) -> None:
    pid = other("--user", "--net")
    paths = {"user": f"/proc/{pid}/ns/user", "network": f"/proc/{pid}/ns/net"}
    bundle = oci.bundle().config(listed(*without("network"), **paths))
    assert "has no id mappings" in bundle.create(code=1).err
    Path(f"/proc/{pid}/uid_map").write_text("0 1800000 1000")
    Path(f"/proc/{pid}/gid_map").write_text("0 1900000 1000")
    bundle.config({"process": {"user": {"uid": 5, "gid": 6}}})
    bundle.up()
    assert of(bundle.pid, "user") == of(pid, "user")
    assert bundle.exec("cat", "/proc/self/uid_map").out.split() == ["0", "1800000", "1000"]
    assert bundle.exec("id").out == "uid=5 gid=6\n"


@pytest.mark.parametrize(("kind", "path"), [("network", "pid"), ("pid", "net"), ("user", "uts"), ("mount", "ipc")])
def test_a_path_of_another_type_is_refused(oci: Oci, kind: str, path: str) -> None:
    """ "The runtime MUST generate an error if path is not associated with a namespace of type `type`"."""
    bundle = oci.bundle().config(listed(*without(kind), **{kind: f"/proc/self/ns/{path}"}))
    err = bundle.create(code=1).err
    assert "/linux/namespaces/" in err
    assert f"is of type {'network' if path == 'net' else path}, not of type {kind}" in err


def test_a_path_that_is_no_namespace_is_refused(oci: Oci) -> None:
    bundle = oci.bundle().config(listed(*without("uts"), uts="/etc/passwd"))
    assert "is no namespace" in bundle.create(code=1).err


def test_a_type_that_is_there_twice_is_refused(oci: Oci) -> None:
    """ "If a namespaces field contains duplicated namespaces with same type, the runtime MUST generate an error"."""
    bundle = oci.bundle().config(listed(*NAMESPACES, "pid"))
    assert "/linux/namespaces/6/type" in bundle.create(code=1).err


@pytest.mark.parametrize("user", [False, True])
def test_the_clocks_of_a_time_namespace(oci: Oci, user: bool) -> None:
    """timeOffsets "sets the offset for Time Namespace"."""
    bundle = oci.bundle("cat", "/proc/self/timens_offsets").config(listed(*NAMESPACES, "time", *(["user"] * user)))
    bundle.config({"linux": {"timeOffsets": {"monotonic": {"secs": 7200, "nanosecs": 5}, "boottime": {"secs": 60}}}})
    if user:
        bundle.config({"linux": {"uidMappings": IDS, "gidMappings": IDS}})
    assert bundle.run().out.split() == ["monotonic", "7200", "5", "boottime", "60", "0"]


def test_offsets_need_a_time_namespace(oci: Oci) -> None:
    bundle = oci.bundle().config({"linux": {"timeOffsets": {"monotonic": {"secs": 1}}}})
    assert "/linux/timeOffsets" in bundle.create(code=1).err


def test_names_need_a_uts_namespace(oci: Oci) -> None:
    """config.md: hostname "specifies the container's hostname as seen by processes running inside the container"."""
    bundle = oci.bundle("sh", "-c", "hostname; cat /proc/sys/kernel/domainname").config({"domainname": "example.org"})
    assert bundle.run().out == "busy\nexample.org\n"
    other = oci.bundle().config(listed(*without("uts")))
    assert "/hostname: there is no uts namespace" in other.create(code=1).err


def test_sysctls_are_set_inside(oci: Oci) -> None:
    keys = {"net.ipv4.ip_forward": "1", "net/ipv4/conf/lo/rp_filter": "2", "kernel.shmmax": "100000"}
    files = "/proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/lo/rp_filter /proc/sys/kernel/shmmax"
    before = Path("/proc/sys/kernel/shmmax").read_text()
    bundle = oci.bundle("sh", "-c", f"cat {files}").config({"linux": {"sysctl": keys}})
    assert bundle.run().out.split() == ["1", "2", "100000"]
    assert Path("/proc/sys/kernel/shmmax").read_text() == before


@pytest.mark.parametrize(
    ("key", "missing"),
    [("vm.swappiness", ""), ("net.ipv4.ip_forward", "network"), ("kernel.sem", "ipc"), ("net.../../kernel.panic", "")],
)
def test_a_sysctl_of_the_machine_is_refused(oci: Oci, key: str, missing: str) -> None:
    bundle = oci.bundle().config({"linux": {"sysctl": {key: "1"}}})
    if missing:
        bundle.config(listed(*without(missing)))
    assert "/linux/sysctl/" in bundle.create(code=1).err


def ip(*messages: tuple[Any, ...]) -> None:
    with IPRoute() as route:
        for kind, command, name, options in messages:
            found = route.link_lookup(ifname=name)
            number = {"index": found[0]} if (found and command != "add") or kind == "addr" else {"ifname": name}
            getattr(route, kind)(command, **number, **options)


@pytest.fixture
def device() -> Iterator[str]:
    name = f"oci{os.getpid() % 10**6}"
    ip(
        ("link", "add", name, {"kind": "veth", "peer": f"{name}p"}),
        ("addr", "add", name, {"address": "10.98.76.5", "prefixlen": 24}),
        ("addr", "add", name, {"address": "fd00:98::5", "prefixlen": 64}),
    )
    yield name
    with IPRoute() as route:
        for index in route.link_lookup(ifname=f"{name}p"):
            with suppress(NetlinkError):  # gone meanwhile, with the namespace of its other end
                route.link("del", index=index)


@pytest.fixture
def bridge(device: str) -> Iterator[int]:
    """Its number."""
    ip(("link", "add", f"{device}b", {"kind": "bridge"}))
    with IPRoute() as route:
        (index,) = route.link_lookup(ifname=f"{device}b")
        yield index
        route.link("del", index=index)


@pytest.mark.parametrize(("name", "became"), [("eth0", "eth0"), ("net%d", "net0"), ("", "")])
def test_a_device_is_moved_with_its_addresses(oci: Oci, device: str, name: str, became: str) -> None:
    """ "The runtime MUST preserve existing network interface attributes, including all permanent IP addresses of any
    family with global scope", "MUST set the network device state to up"."""
    bundle = oci.bundle("ip", "addr", "show", became or device)
    bundle.config({"linux": {"netDevices": {device: {"name": name} if name else {}}}})
    out = bundle.run().out
    assert "10.98.76.5/24" in out
    assert "fd00:98::5/64" in out
    assert ",UP" in out
    assert not os.path.exists(f"/sys/class/net/{device}")


def test_a_device_whose_name_is_taken_stays(oci: Oci, device: str) -> None:
    """ "If a network device with the specified name already exists, the runtime MUST generate an error"."""
    bundle = oci.bundle().config({"linux": {"netDevices": {device: {"name": "lo"}}}})
    assert f"/linux/netDevices/{device}" in bundle.create(code=1).err
    assert os.path.exists(f"/sys/class/net/{device}")


@pytest.mark.parametrize("point", ["createRuntime", "createContainer", "handover"])
def test_a_device_comes_back_when_the_container_cannot_be_made(oci: Oci, device: str, bridge: int, point: str) -> None:
    """runtime.md "Create": "If the runtime cannot apply a property ... it MUST generate an error and a new container
    MUST NOT be created": the machine has its device again, with its name, addresses and bridge, and up if it was."""
    up = point != "createContainer"
    if up:
        ip(("link", "set", device, {"state": "up", "master": bridge}))
    bundle = oci.bundle().config({"linux": {"netDevices": {device: {"name": "eth0"}}}})
    if point == "handover":
        bundle.create("--pidfd-socket", str(bundle.path / "nobody"), code=1)
    else:
        bundle.config({"hooks": {point: [{"path": "/bin/false"}]}}).create(code=1)
    with IPRoute() as route:
        (index,) = route.link_lookup(ifname=device)
        (link,) = route.get_links(index)
        found = {address.get("address") for address in route.get_addr(index=index)}
    assert (link["flags"] & 1, link.get("master")) == ((1, bridge) if up else (0, None))
    assert {"10.98.76.5", "fd00:98::5"} <= found


def test_a_device_that_is_not_there(oci: Oci) -> None:
    bundle = oci.bundle().config({"linux": {"netDevices": {"nowhere0": {}}}})
    assert "/linux/netDevices/nowhere0" in bundle.create(code=1).err
    bundle.config(listed(*without("network")))
    assert "no network namespace" in bundle.create(code=1).err
