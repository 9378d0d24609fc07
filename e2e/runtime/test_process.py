"""OCI `process` on the kernel, in containers and in execs into them. Quoted: runtime-spec config.md."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from e2e.runtime.bundles import Oci
from orchestr.runtime.cgroups import layout


def output(oci: Oci, script: str, process: dict[str, Any], linux: dict[str, Any] | None = None) -> str:
    return oci.bundle("sh", "-c", script).config({"process": process, "linux": linux or {}}).run().out


def refused(oci: Oci, change: dict[str, Any]) -> str:
    return oci.bundle().config(change).create(code=1).err


def ours() -> str:
    text = Path("/proc/self/status").read_text()
    return next(line.split()[1] for line in text.splitlines() if line.startswith("Cpus_allowed_list"))


def capabilities(**sets: list[str]) -> dict[str, Any]:
    return {
        "capabilities": {
            kind: sets.get(kind, []) for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")
        }
    }


def test_user_umask_and_groups(oci: Oci) -> None:
    user = {"uid": 5, "gid": 6, "umask": 0o27, "additionalGids": [7, 8]}
    assert output(oci, "umask; id", {"user": user}) == "0027\nuid=5 gid=6 groups=7,8\n"


def test_a_name_of_a_user_is_for_windows_alone(oci: Oci) -> None:
    assert output(oci, "id -u", {"user": {"uid": 5, "gid": 6, "username": "www"}}) == "5\n"


def test_the_five_sets_of_capabilities(oci: Oci) -> None:
    one, two = ["CAP_CHOWN"], ["CAP_CHOWN", "CAP_KILL"]
    sets = capabilities(bounding=two, permitted=two, effective=one, inheritable=two, ambient=one)
    out = output(oci, "grep Cap /proc/self/status", {"user": {"uid": 5, "gid": 5}, **sets})
    found = {line.split(":")[0]: int(line.split()[1], 16) for line in out.splitlines()}
    assert found == {"CapInh": 0x21, "CapPrm": 1, "CapEff": 1, "CapBnd": 0x21, "CapAmb": 1}


def test_a_capability_that_cannot_be_granted_is_a_warning(oci: Oci) -> None:
    """ "MUST be logged as a warning by the runtime. Runtimes SHOULD NOT fail"."""
    names = ["CAP_CHOWN", "CAP_OF_TOMORROW"]
    bundle = oci.bundle("true").config({"process": capabilities(bounding=names, permitted=names, effective=names)})
    assert "CAP_OF_TOMORROW" in bundle.run().err


def test_a_filter_that_forbids_our_own_calls(oci: Oci) -> None:
    """The command is looked for, and refused, before such a filter is there; with no_new_privs and without."""
    names = ["faccessat2", "openat", "openat2", "setresuid", "setgroups", "umask", "rt_sigaction", "close_range"]
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": names, "action": "SCMP_ACT_ERRNO"}]}
    for nnp in (True, False):
        caps = capabilities(**{kind: ["CAP_CHOWN"] for kind in ("bounding", "effective", "permitted")})
        bundle = oci.bundle("echo", "here")
        bundle.config({"process": {"noNewPrivileges": nnp, **caps}, "linux": {"seccomp": seccomp}})
        assert bundle.run().out == "here\n"
        bundle.config({"process": {"args": ["nowhere"]}})
        assert bundle.run(code=127).out == ""


@pytest.mark.parametrize(
    ("args", "code"), [(["nowhere"], 127), (["/bin/nowhere"], 127), (["/etc/passwd"], 126), (["/etc"], 126)]
)
def test_a_command_that_cannot_run(oci: Oci, args: list[str], code: int) -> None:
    oci.bundle(*args).run(code=code)


def test_limits_and_oom_score(oci: Oci) -> None:
    """ "rlim.rlim_cur MUST match", "rlim.rlim_max MUST match", "the runtime MUST set oom_score_adj"."""
    limits = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
    out = output(oci, "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj", {"rlimits": limits, "oomScoreAdj": 321})
    assert out.split() == ["100", "200", "321"]
    assert "/process/rlimits/1/type" in refused(oci, {"process": {"rlimits": limits * 2}})


def test_scheduler_and_io_priority(oci: Oci) -> None:
    process = {
        "scheduler": {"policy": "SCHED_BATCH", "nice": 5},
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 3},
    }
    bundle = oci.bundle().config({"process": process}).up()
    script = "cut -d' ' -f 19,41 /proc/self/stat; ionice -p $$"
    assert bundle.exec("sh", "-c", script).out == "5 3\nidle\n"
    deadline = {"policy": "SCHED_DEADLINE", "runtime": 10**7, "deadline": 2 * 10**7, "period": 3 * 10**7}
    assert output(oci, "cut -d' ' -f 41 /proc/1/stat", {"scheduler": deadline}) == "6\n"


def test_real_time_needs_a_budget_where_cgroups_have_one(oci: Oci) -> None:
    """With CONFIG_RT_GROUP_SCHED a new cgroup of v1 has no real-time budget: that is told."""
    cpu = layout().v1.get("cpu", "")
    file = Path(f"{cpu}/cpu.rt_runtime_us")
    if not cpu or not file.exists() or int(file.read_text()) <= 0:
        pytest.skip("cgroups have no real-time budget here")
    scheduler = {"policy": "SCHED_FIFO", "priority": 3}
    assert "/linux/resources/cpu/realtimeRuntime" in refused(oci, {"process": {"scheduler": scheduler}})
    bundle = oci.bundle()
    budget = {"cgroupsPath": f"/{bundle.cgroup.replace('/', '-')}", "resources": {"cpu": {"realtimeRuntime": 1000}}}
    bundle.config({"process": {"scheduler": scheduler}, "linux": budget}).up()
    assert bundle.exec("cut", "-d ", "-f", "40,41", "/proc/1/stat").out == "3 1\n"


def test_a_deadline_does_not_go_with_a_part_of_the_cpus(oci: Oci) -> None:
    if ours() == "0":
        pytest.skip("this machine has one CPU")
    deadline = {"policy": "SCHED_DEADLINE", "runtime": 10**7, "deadline": 2 * 10**7, "period": 3 * 10**7}
    change = {"process": {"scheduler": deadline}, "linux": {"resources": {"cpu": {"cpus": "0"}}}}
    assert "can't be used together with AllowedCPUs" in refused(oci, change)


def test_affinity_is_for_exec_alone(oci: Oci) -> None:
    """ "This setting is not applicable to the container's init process"."""
    bundle = oci.bundle().config({"process": {"execCPUAffinity": {"initial": "0", "final": "0"}}}).up()
    read = ("grep", "Cpus_allowed_list", "/proc/self/status")
    assert bundle.exec(*read).out.split()[1] == "0"
    assert bundle.exec("grep", "Cpus_allowed_list", "/proc/1/status").out.split()[1] == ours()


def test_personality_and_memory_policy(oci: Oci) -> None:
    linux = {
        "personality": {"domain": "LINUX32"},
        "memoryPolicy": {"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
    }
    bundle = oci.bundle().config({"linux": linux}).up()
    machine, maps = bundle.exec("sh", "-c", "uname -m; head -1 /proc/self/numa_maps").out.splitlines()
    assert machine in ("i686", "armv8l")
    assert "interleave=static:0" in maps


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"process": {"apparmorProfile": "x"}}, "/process/apparmorProfile"),
        ({"process": {"selinuxLabel": "x"}}, "/process/selinuxLabel"),
        ({"linux": {"intelRdt": {"closID": "x"}}}, "/linux/intelRdt"),
        ({"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "x"}}}, "/linux/memoryPolicy/nodes"),
        ({"linux": {"personality": {"domain": "LINUX", "flags": ["X"]}}}, "/linux/personality/flags"),
        ({"process": {"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}}, "/process/ioPriority/priority"),
    ],
)
def test_what_this_kernel_does_not_have_is_an_error(oci: Oci, change: dict[str, Any], pointer: str) -> None:
    assert pointer in refused(oci, change)


def test_exec_takes_all_of_a_process(oci: Oci) -> None:
    bundle = oci.bundle().up()
    process = {
        "args": ["sh", "-c", "id; pwd; umask; echo $A"],
        "cwd": "/var",
        "env": ["A=b", "PATH=/bin"],
        "user": {"uid": 9, "gid": 9, "umask": 0o77, "additionalGids": [10]},
    }
    (bundle.path / "p.json").write_text(json.dumps(process))
    out = oci("exec", "--process", str(bundle.path / "p.json"), bundle.id).out
    assert out == "uid=9 gid=9 groups=10\n/var\n0077\nb\n"


def test_a_caller_bound_to_one_cpu_does_not_bind_the_container(oci: Oci) -> None:
    """As runc: where a service manager binds its daemons, that is not meant for the containers."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        bundle = oci.bundle().up()
        seen = [bundle.exec("grep", "Cpus_allowed_list", f"/proc/{pid}/status").out.split()[1] for pid in ("1", "self")]
    finally:
        os.sched_setaffinity(0, before)
    assert seen == [ours(), ours()]


def test_the_environment_is_the_given_one_and_home(oci: Oci) -> None:
    """As runc: of a name the last counts; HOME, when missing or empty, is the user's."""
    bundle = oci.bundle("/bin/env", process={"env": ["A=1", "HOME=/x", "A=2", "HOME="], "user": {"uid": 9, "gid": 0}})
    (bundle.rootfs / "etc/passwd").write_text("nine:x:9:0::/home/nine:/bin/sh\n")
    assert sorted(bundle.run().out.splitlines()) == ["A=2", "HOME=/home/nine"]


def test_a_script_whose_interpreter_is_missing(oci: Oci) -> None:
    """It is found when the container is created; what is missing is known at its start, and told on its stderr."""
    bundle = oci.bundle("/script")
    (bundle.rootfs / "script").write_text("#!/no/such/shell\n")
    (bundle.rootfs / "script").chmod(0o755)
    assert bundle.run(code=125).err == "exec /script: no such file or directory\n"
    other = oci.bundle().up()
    shutil.copy(bundle.rootfs / "script", other.rootfs)
    assert "exec /script: no such file or directory" in other.exec("/script", code=127).err


def test_an_ambient_capability_that_is_not_inheritable_is_a_warning(oci: Oci) -> None:
    """ "Any value which cannot be mapped to a relevant kernel interface, or cannot be granted otherwise, MUST be logged
    as a warning by the runtime"."""
    held = ["CAP_KILL", "CAP_CHOWN"]
    sets = capabilities(bounding=held, permitted=held, effective=held, inheritable=["CAP_KILL"], ambient=held)
    done = oci.bundle("grep", "CapAmb", "/proc/self/status", process=sets).run()
    assert done.out.split()[1] == f"{1 << 5:016x}"
    assert "can't raise ambient capability CAP_CHOWN" in done.err


def test_groups_of_the_caller_are_kept_where_the_bundle_says_so(oci: Oci) -> None:
    """run.oci.keep_original_groups of crun(1), by which podman does `--group-add keep-groups`."""
    bundle = oci.bundle().config({"annotations": {"run.oci.keep_original_groups": "1"}})
    bundle.create(extra_groups=(0, 7777))
    bundle.start()
    read = ("grep", "^Groups", "/proc/self/status")
    assert Path(f"/proc/{bundle.pid}/status").read_text().partition("Groups:")[2].split("\n")[0].split() == [
        "0",
        "7777",
    ]
    assert "8888" in bundle.exec(*read, extra_groups=(8888,)).out
    kept = oci.bundle(*read).config({"annotations": {"run.oci.keep_original_groups": "0"}})
    assert kept.run(extra_groups=(7777,)).out.split() == ["Groups:"]


def test_a_pipe_becomes_the_users(oci: Oci) -> None:
    """So that an ordinary user's process can open /dev/stdout again; the group too, as with crun."""
    read, write = os.pipe()
    try:
        bundle = oci.bundle("true").config({"process": {"user": {"uid": 11, "gid": 12}}})
        subprocess.run(oci.argv("run", "--bundle", str(bundle.path), bundle.id), stdout=write, check=True)
        status = os.fstat(write)
        assert (status.st_uid, status.st_gid) == (11, 12)
    finally:
        os.close(read)
        os.close(write)
