"""Limits that manifests set are what the kernel holds the container to: its cgroup's files and /proc are read."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import eventually, kill, process
from e2e.conftest import Host
from e2e.daemon import ORCH
from e2e.project import Project
from e2e.test_containers import SLEEP, pod
from orchestr.runtime.cgroups import devices, layout

V2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
CAP_SYS_RESOURCE = 24
EXTRA = "orchestr.dev/resources"


def disk() -> tuple[str, str]:
    """(path, major:minor) of a whole block device that can be throttled."""
    for name in sorted(os.listdir("/sys/block")):
        if os.path.exists(f"/dev/{name}") and not name.startswith(("loop", "ram")):
            return f"/dev/{name}", Path(f"/sys/block/{name}/dev").read_text().strip()
    pytest.skip("no block device")


def shown(project: Project, name: str, files: Mapping[str, str], container: str = "") -> dict[str, str]:
    """Of "controller/file" of a container's cgroup; the controller counts where there is a hierarchy of each."""
    made = project.pod(name)
    where = container or made["spec"]["containers"][0]["name"]
    pairs = ((key, *key.split("/")) for key in files)
    return {key: Path(project.daemon.cgroup(made, where, by), file).read_text().strip() for key, by, file in pairs}


def service(keys: str) -> str:
    return f"""
    services:
      web:
        image: local/host
        command: [sleep, infinity]
        restart: always
        stop_grace_period: 0s
        {keys}
    """


@pytest.mark.parametrize(
    ("keys", "v1", "v2"),
    [
        ('cpuset: "0"', {"cpuset/cpuset.cpus": "0"}, {"cpuset/cpuset.cpus": "0"}),
        ("cpu_shares: 512", {"cpu/cpu.shares": "512"}, {"cpu/cpu.weight": "59"}),
        (
            "cpu_quota: 30000\n        cpu_period: 60ms",
            {"cpu/cpu.cfs_quota_us": "30000", "cpu/cpu.cfs_period_us": "60000"},
            {"cpu/cpu.max": "30000 60000"},
        ),
        (
            "mem_limit: 64m\n        memswap_limit: 96m",
            {"memory/memory.limit_in_bytes": str(64 << 20), "memory/memory.memsw.limit_in_bytes": str(96 << 20)},
            {"memory/memory.max": str(64 << 20), "memory/memory.swap.max": str(32 << 20)},
        ),
        ("mem_swappiness: 7", {"memory/memory.swappiness": "7"}, {}),
    ],
    ids=["cpuset", "cpu_shares", "cpu_quota", "memswap_limit", "mem_swappiness"],
)
def test_a_key_of_compose(project: Project, keys: str, v1: Mapping[str, str], v2: Mapping[str, str]) -> None:
    files = v2 if V2 else v1
    if not files:
        pytest.skip("cgroup v2 has no such limit")
    project.apply(service(keys))
    assert shown(project, "web", files) == files


def test_the_cpuset_holds(project: Project) -> None:
    """The processes of the container may run on the CPUs of its cpuset, and on no other."""
    project.apply(service('cpuset: "0"'))
    assert os.sched_getaffinity(project.pid("web")) == {0}


def test_block_devices_are_throttled(project: Project) -> None:
    """blkio_config names devices by path, the kernel by number."""
    path, number = disk()
    config = (
        f"blkio_config: {{device_read_bps: [{{path: {path}, rate: 8mb}}], "
        f"device_write_iops: [{{path: {path}, rate: 90}}]}}"
    )
    project.apply(service(config))
    if V2:
        found = shown(project, "web", {"io/io.max": ""})["io/io.max"]
        assert found == f"{number} rbps={8 << 20} wbps=max riops=max wiops=90"
        return
    files = {
        "blkio/blkio.throttle.read_bps_device": f"{number} {8 << 20}",
        "blkio/blkio.throttle.write_iops_device": f"{number} 90",
    }
    assert shown(project, "web", files) == files


def test_what_is_no_block_device_is_told(project: Project) -> None:
    told = project.apply(
        service("blkio_config: {device_read_bps: [{path: /dev/null, rate: 1mb}]}"), "--timeout", "8s", code=1
    )
    assert "/dev/null is not a block device" in told.err


def test_the_oom_score(project: Project) -> None:
    """oom_score_adj wins over the score that follows from the class of service; it can be lowered where we may."""
    project.apply(service("oom_score_adj: 77"))
    assert Path(f"/proc/{project.pid('web')}/oom_score_adj").read_text() == "77\n"
    may = int(process(os.getpid(), "status")["CapEff"], 16) >> CAP_SYS_RESOURCE & 1
    told = project.apply(service("oom_score_adj: -77"), "--timeout", "20s", code=0 if may else 1)
    if may:
        eventually(lambda: Path(f"/proc/{project.pid('web')}/oom_score_adj").read_text() == "-77\n")
    else:
        assert "CAP_SYS_RESOURCE" in told.err


def test_devices_that_rules_allow(project: Project) -> None:
    """device_cgroup_rules are in the filter of the container's cgroup, or in the files of the v1 controller."""
    project.apply(service('device_cgroup_rules: ["c 10:229 rw", "c 1:2 r"]'))
    if base := layout().v2:
        path = next(
            line[3:]
            for line in Path(f"/proc/{project.pid('web')}/cgroup").read_text().splitlines()
            if line.startswith("0::")
        )
        directory = os.open(f"{base}{path}", os.O_RDONLY)
        try:
            filter = devices._attached(directory)
            assert filter >= 0
            os.close(filter)
        finally:
            os.close(directory)
    else:
        listed = shown(project, "web", {"devices/devices.list": ""})["devices/devices.list"].splitlines()
        assert {"c 10:229 rw", "c 1:2 r"} <= set(listed)


def annotated(name: str, resources: Mapping[str, Any], container: str = SLEEP) -> str:
    text = json.dumps({EXTRA: json.dumps(resources)})
    return pod(name, container, kind=f", annotations: {text}")


def test_resources_as_an_annotation(project: Project) -> None:
    """orchestr.dev/resources says what Kubernetes has no field for; what the fields say stays."""
    resources = {"cpu": {"burst": 4000, "shares": 2048}, "memory": {"reservation": 32 << 20}}
    limits = "resources: {limits: {cpu: 200m, memory: 64Mi}}"
    project.objects(annotated("a", resources, f"{SLEEP}, {limits}"))
    files = {
        "cpu/cpu.cfs_quota_us": "20000",
        "cpu/cpu.cfs_burst_us": "4000",
        "cpu/cpu.shares": "2048",
        "memory/memory.limit_in_bytes": str(64 << 20),
        "memory/memory.soft_limit_in_bytes": str(32 << 20),
    }
    if V2:
        files = {
            "cpu/cpu.max": "20000 100000",
            "cpu/cpu.max.burst": "4000",
            "memory/memory.max": str(64 << 20),
            "memory/memory.low": str(32 << 20),
        }
    assert shown(project, "a", files) == files


def tables(pid: int | None = None) -> list[str]:
    """Those of nftables that give containers their network class, in the machine's namespace or a living process's."""
    enter = () if pid is None else ("nsenter", "-t", str(pid), "-n")
    listed = subprocess.run((*enter, "nft", "list", "tables"), capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if "orch_class_" in line]


@pytest.mark.skipif("net_cls" in layout().v1 or not layout().v2, reason="the class is given by the controller of v1")
def test_what_a_pod_sends_has_its_network_class(project: Project) -> None:
    """By nftables where there is no net_cls: in the pod's network or the machine's, until the container ends."""
    before = tables()
    named = annotated("own", {"network": {"classID": 0x100002}}, 'command: [sh, -c, "sleep infinity & wait"]')
    project.objects(
        named + annotated("shared", {"network": {"classID": 7}}).replace("spec:", "spec:\n  hostNetwork: true")
    )
    pid = project.pid("own")
    (table,) = tables(pid)
    ruled = ("nsenter", "-t", str(pid), "-n", "nft")
    chain = "add table inet t; add chain inet t c { type filter hook output priority 9; };"
    subprocess.run((*ruled, f"{chain} add rule inet t c meta priority 10:2 counter"), check=True)
    send = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))"
    project.orch("exec", "-n", project.name, "own", "--", "python3", "-Sc", send).expect()
    counted = subprocess.run((*ruled, "list", "table", "inet", "t"), check=True, capture_output=True, text=True).stdout
    assert "packets 1 " in counted
    assert len(set(tables()) - set(before)) == 1

    kill(pid)
    eventually(lambda: len(found := tables(project.pid("own"))) == 1 and found != [table])
    project.orch("delete", "-n", project.name, "pod", "shared", "--now", "--yes").expect()
    assert tables() == before


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"cpu": {"idle": 7}}, "/linux/resources/cpu/idle"),
        ({"unified": {"nothing.max": "1"}}, "/linux/resources/unified/nothing.max"),
        ({"blockIO": {"throttleReadBpsDevice": [{"path": "/dev/nothing", "rate": 1}]}}, "/dev/nothing"),
        ({"cpu": {"cpus": "900"}}, "/linux/resources/cpu/cpus"),
        ({"network": {"priorities": [{"name": "eth0"}]}}, "/network/priorities/0/priority"),
    ],
)
def test_what_cannot_be_set_is_told(project: Project, resources: Mapping[str, Any], words: str) -> None:
    project.objects(annotated("b", resources), "--detach")
    eventually(lambda: words in project.orch("status", "-n", project.name).out)


@pytest.mark.parametrize("limit", [1, 2])
def test_the_launch_takes_no_part_in_a_small_limit_of_processes(project: Project, limit: int) -> None:
    """The runtime needs more than one process to start a container: they count for nobody."""
    project.objects(pod("one", f"{SLEEP}, resources: {{limits: {{orchestr.dev/pids: {limit}}}}}"))
    assert shown(project, "one", {"pids/pids.max": ""}) == {"pids/pids.max": str(limit)}
    assert len(project.daemon.pids(project.pod("one"), "main")) == 1


def test_huge_pages(project: Project) -> None:
    """limits: hugepages-2Mi is the limit of the hugetlb controller; without the controller that is an error."""
    limits = "resources: {limits: {hugepages-2Mi: 4Mi, memory: 64Mi}}"
    if layout().controller("hugetlb"):
        project.objects(pod("h", f"{SLEEP}, {limits}"))
        unified = layout().controller("hugetlb") == 2  # also on a hybrid machine, where others are not
        by, file = ("unified", "max") if unified and not V2 else ("hugetlb", "max" if unified else "limit_in_bytes")
        files = {f"{by}/hugetlb.2MB.{file}": str(4 << 20)}
        assert shown(project, "h", files) == files
    else:
        project.objects(pod("h", f"{SLEEP}, {limits}"), "--detach")
        words = "the requested cgroup controller `hugetlb` is not available"
        eventually(lambda: words in project.orch("status", "-n", project.name).out)


def test_huge_pages_where_the_controller_is_mounted_for_the_daemon_alone(host: Host, tmp_path: Path) -> None:
    """The same where the machine has the hierarchy and nobody mounted it: a daemon in a mount namespace that has it."""
    if layout().controller("hugetlb") or "hugetlb\t" not in Path("/proc/cgroups").read_text():
        pytest.skip("the controller is mounted, or the kernel has none")
    base, daemon = tmp_path / "hugetlb", host.daemon()
    base.mkdir()
    start = f"mount -t cgroup -o hugetlb none {base} && exec {ORCH} system start"
    unshared = ("unshare", "--mount", "--propagation", "private", "sh", "-c", start)
    subprocess.run(unshared, check=True, env=daemon.env(), capture_output=True)
    try:
        (tmp_path / "p1").mkdir()
        project = Project(daemon, tmp_path / "p1", "p1")
        project.objects(pod("h", f"{SLEEP}, resources: {{limits: {{hugepages-2Mi: 4Mi, memory: 64Mi}}}}"))
        groups = Path(f"/proc/{project.pid('h')}/cgroup").read_text().splitlines()
        path = next(line.split(":")[2] for line in groups if ":hugetlb:" in line)
        seen = Path(f"/proc/{daemon.supervisor_pid}/root{base}{path}/hugetlb.2MB.limit_in_bytes")
        assert seen.read_text() == f"{4 << 20}\n"
    finally:
        daemon.finish()


def test_top_tells_what_was_moved_and_held_back(project: Project) -> None:
    """`orch top -o wide`: bytes written to the disk, and the share of periods in which the quota was used up."""
    script = "dd if=/dev/zero of=/data/x bs=1M count=3 oflag=dsync 2>/dev/null; while :; do :; done"
    project.apply(
        """
        services:
          busy:
            image: local/host
            command: [sh, -c, "SCRIPT"]
            restart: always
            stop_grace_period: 0s
            cpus: 0.05
            volumes: [data:/data]
        volumes: {data: {}}
        """.replace("SCRIPT", script)
    )

    def busy() -> bool:
        head, line = (row.split() for row in project.orch("top", "-n", project.name, "-o", "wide").expect().lines)
        found = dict(zip(head, line, strict=True))
        written = float(found["WRITTEN"].removesuffix("Mi"))
        return written >= 3 and int(found["THROTTLED"].removesuffix("%")) > 50

    eventually(busy)
