"""Ways to the machine by way of the kernel's own files: cgroups, sysctls, procfs, sysfs."""

from pathlib import Path
from typing import Any

import pytest

from e2e.runtime.bundles import Oci
from e2e.security.inside import CORE, USERNS, own_by_userns
from orchestr.runtime import seccomp_profile
from orchestr.runtime.spec import default_spec

TRY = """
    cd /sys/fs/cgroup || exit
    for d in . *; do mkdir $d/evil 2> /dev/null && echo MADE $d; done
    find . .. -name release_agent -o -name cgroup.procs -o -name tasks | while read f; do
        ( : >> $f ) 2> /dev/null && echo WRITABLE $f
    done
    find . -name devices.allow | while read f; do ( echo a >> $f ) 2> /dev/null && echo WRITABLE $f; done
    echo end
"""


@pytest.mark.parametrize("options", [[], ["ro"], ["nosuid", "noexec", "nodev", "relatime"]])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("kind", ["cgroup", "cgroup2"])
def test_cgroups_cannot_be_written_in_any_mode(oci: Oci, kind: str, own: bool, options: list[str]) -> None:
    """CVE-2022-0492, CVE-2023-25809: with a cgroup namespace of its own and with the machine's.

    Without "ro" its own directory may be written, as with other runtimes; what leads out of it may not.
    """
    bundle = oci.bundle("sh", "-c", TRY)
    bundle.data["mounts"].append(
        {"destination": "/sys/fs/cgroup", "type": kind, "source": "cgroup", "options": options}
    )
    if not own:
        names = bundle.data["linux"]["namespaces"]
        bundle.data["linux"]["namespaces"] = [item for item in names if item["type"] != "cgroup"]
    bundle.config({})
    said = bundle.run().out.splitlines()
    if "ro" in options:
        assert said == ["end"]
    assert [line for line in said if "release_agent" in line or "devices.allow" in line] == []


@pytest.mark.parametrize("seccomp", [True, False])
def test_a_cgroup_hierarchy_cannot_be_mounted(oci: Oci, seccomp: bool) -> None:
    """CVE-2022-0492: as root of a user namespace of its own, with every capability there, with and without a filter."""
    script = """
        mkdir -p /tmp/x
        for o in memory rdma cpu none,name=evil; do
            mount -t cgroup -o $o cgroup /tmp/x && ( : >> /tmp/x/release_agent ) && echo OUT $o
        done
        unshare -Urm sh -c 'mount -t cgroup -o rdma cgroup /tmp/x && : >> /tmp/x/release_agent && echo OUT'
        echo end
    """
    capabilities = [f"CAP_{name}" for name in ("SYS_ADMIN", "CHOWN", "DAC_OVERRIDE", "SETUID", "SETGID")]
    bundle = oci.bundle("sh", "-c", script, linux=USERNS)
    own_by_userns(bundle.rootfs)
    sets = dict.fromkeys(("bounding", "effective", "permitted"), capabilities)
    bundle.config({"process": {"capabilities": sets}})
    if seccomp:
        bundle.config({"linux": {"seccomp": seccomp_profile.default([])}})
    assert bundle.run().out == "end\n"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/evil"),
        ("kernel.shm_rmid_forced=1 kernel.core_pattern", "|/evil"),
        ("net.../kernel/core_pattern", "|/evil"),
        ("net/../kernel/core_pattern", "|/evil"),
        ("kernel.core_pattern", "|/evil"),
        ("kernel.sem/../core_pattern", "core"),
        ("fs.mqueue.../../kernel/core_pattern", "core"),
        ("vm.overcommit_memory", "1"),
    ],
)
def test_a_sysctl_sets_one_file_of_the_containers_namespaces(oci: Oci, key: str, value: str) -> None:
    """CVE-2022-0811: no other key by way of a value or of a strange key, none of the machine's."""
    before = Path(CORE).read_text()
    assert "cannot" in oci.bundle("true", linux={"sysctl": {key: value}}).run(code=1).err
    oci.bundle("true", linux={"sysctl": {"net.ipv4.ip_forward": f"1\n{key}={value}"}}).run(code=None)
    assert Path(CORE).read_text() == before


PROBE = """
    for f in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/latency_stats /proc/timer_stats; do
        test "$(head -c 1 $f 2> /dev/null)" && echo READ $f
    done
    for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/vm/panic_on_oom \\
             /proc/sys/kernel/hotplug /proc/irq/0/smp_affinity /proc/bus/pci/00/00.0 /proc/asound/x /proc/scsi/scsi \\
             /proc/acpi/wakeup /sys/kernel/uevent_helper /sys/kernel/mm/ksm/run /sys/power/state /proc/fs/x; do
        ( : >> $f ) 2> /dev/null && echo WRITTEN $f
    done
    ls /proc/acpi /proc/scsi /sys/firmware /sys/devices/virtual/powercap 2> /dev/null | grep -v : | grep .
    test -e /dev/mem -o -e /dev/kmsg -o -e /dev/sda -o -e /dev/vda && echo DEVICE
    mknod /tmp/disk b 254 0 2> /dev/null && ( head -c 1 /tmp/disk > /dev/null 2>&1 ) && echo DISK
    mknod /tmp/mem c 1 1 2> /dev/null && ( head -c 1 /tmp/mem > /dev/null 2>&1 ) && echo MEMORY
    echo end
"""


@pytest.mark.parametrize("linked", [False, True])
def test_what_procfs_and_sysfs_tell_and_take(oci: Oci, linked: bool) -> None:
    """The prize of CVE-2025-31133 and others, without a user namespace: with the default paths nothing of it is left.

    Masked paths that are links in the image hide what they lead to, inside.
    """
    ours: Any = default_spec(["sh"])["linux"]
    bundle = oci.bundle("sh", "-c", PROBE)
    paths = {name: list(ours[name]) for name in ("maskedPaths", "readonlyPaths")}
    capabilities = [*bundle.data["process"]["capabilities"]["bounding"], "CAP_MKNOD"]
    if linked:
        (bundle.rootfs / "p").symlink_to("proc")
        paths["maskedPaths"] += ["/p/version"]
        bundle.config({"process": {"args": ["sh", "-c", f"head -c 1 /proc/version; {PROBE}"]}})
    sets = dict.fromkeys(("bounding", "effective", "permitted"), capabilities)
    rules = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "access": "m"},
             {"allow": True, "type": "b", "access": "m"}]  # fmt: skip
    bundle.config({"process": {"capabilities": sets}, "linux": {**paths, "resources": {"devices": rules}}})
    assert bundle.run().out == "end\n"


@pytest.mark.parametrize(
    ("field", "label"), [("apparmorProfile", "strict"), ("selinuxLabel", "system_u:system_r:x_t:s0")]
)
def test_a_label_is_refused_or_true(oci: Oci, field: str, label: str) -> None:
    """CVE-2019-19921, CVE-2025-52881: no container runs with less than the label that it was to have."""
    done = oci.bundle("cat", "/proc/self/attr/current", process={field: label}).run(code=None)
    if done.code == 0:
        pytest.skip("this kernel has labels: run the races of test_races.py with one, and compare what is printed")
    assert field in done.err
