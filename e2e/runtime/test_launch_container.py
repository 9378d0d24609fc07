"""What a container is: its identity, its namespaces, its root, its limits."""

import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from orchestr.runtime import cgroups, launch, overlay
from orchestr.runtime.plan import LaunchError
from orchestr.runtime.seam import RuntimeFailure


def status(out: str) -> dict[str, str]:
    return {key: value.strip() for key, _, value in (line.partition(":") for line in out.splitlines())}


def test_root_of_the_container_is_nobody_on_the_machine(make_pod: Any) -> None:
    pod = make_pod()
    ended = pod.run("sh", "-c", "id -u; cat /proc/self/uid_map; touch /tmp/mine; hostname; ls /proc | grep -c '^[0-9]'")
    uid, mapped, host, processes = ended.out.splitlines()
    assert (uid, mapped.split(), host) == ("0", ["0", str(pod.spec.uid_base), "65536"], "web-1")
    assert int(processes) < 6
    assert (pod.directory / "upper1/upper/tmp/mine").stat().st_uid == 0  # the layer keeps the container's ids


def test_capabilities_are_exactly_those_asked_for(make_pod: Any) -> None:
    found = status(make_pod().run("cat", "/proc/self/status").out)
    assert found["CapInh"] == found["CapAmb"] == "0" * 16
    assert found["CapPrm"] == found["CapEff"] == found["CapBnd"] == "00000000a80405fb"
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")


@pytest.mark.parametrize(
    ("user", "groups", "expected"),
    [
        ("redis", (), ("999", "998", {"998", "4"})),
        ("redis:redis", (7,), ("999", "998", {"998", "7"})),
        ((5, 6, ()), (), ("5", "6", {"6"})),
        ("0", (), ("0", "0", {"0"})),
    ],
)
def test_groups_are_those_of_the_user_and_no_other(make_pod: Any, user: Any, groups: Any, expected: Any) -> None:
    out = make_pod().run("sh", "-c", "id -u; id -g; id -G", user=user, groups=groups).out.splitlines()
    assert (out[0], out[1], set(out[2].split())) == expected


def test_exit_codes_and_signals_come_through(make_pod: Any) -> None:
    pod = make_pod()
    assert pod.run("sh", "-c", "exit 3").code == 3
    assert pod.run("sh", "-c", "kill -9 $$", number=2, init=True).code == 128 + signal.SIGKILL


@pytest.mark.parametrize(("args", "code"), [("nowhere", 127), ("/etc/passwd", 126), ("/etc", 126)])
@pytest.mark.parametrize("init", [False, True])
def test_a_command_that_cannot_run_is_told_and_leaves_nothing(make_pod: Any, args: str, code: int, init: bool) -> None:
    pod = make_pod()
    with pytest.raises(LaunchError, match=r"cannot (run|find)") as raised:
        pod.run(args, init=init)
    assert raised.value.exit_code == code
    assert not list(cgroups.directories(f"{pod.spec.cgroup}/c1"))


def test_two_containers_share_network_ipc_and_name_but_not_processes(make_pod: Any) -> None:
    pod = make_pod()
    links = "for n in user net ipc uts pid mnt cgroup; do readlink /proc/self/ns/$n; done"
    first, second = (pod.run("sh", "-c", links, number=n).out.split() for n in (1, 2))
    assert first[:4] == second[:4]
    ours = {os.readlink(f"/proc/self/ns/{n}") for n in ("user", "net", "ipc", "uts", "pid", "mnt", "cgroup")}
    assert not {*first, *second} & ours


def test_a_shared_pid_namespace_has_a_first_process_that_sees_nothing(make_pod: Any) -> None:
    pod = make_pod(share_pid=True)
    out = pod.run("sh", "-c", "cat /proc/1/comm; ls /proc/1/root/ 2>&1; grep CapEff /proc/1/status; echo $$").out
    assert "CapEff:\t0000000000000000" in out
    assert "etc" not in out
    assert out.splitlines()[-1] != "1"


def test_an_init_reaps_and_passes_the_exit_code_on(make_pod: Any) -> None:
    ended = make_pod().run("sh", "-c", "cat /proc/1/comm; (sleep 0.01 &); exit 5", init=True)
    assert ended.code == 5
    assert "sh" not in ended.out.split()


def test_a_read_only_root_still_gets_its_mounts(make_pod: Any) -> None:
    mount = {"destination": "/new/place", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"]}
    ended = make_pod().run("sh", "-c", "touch /x; touch /new/place/y && echo fine", readonly=True, mounts=[mount])
    assert "Read-only file system" in ended.out
    assert "fine" in ended.out


def test_binds_of_files_and_directories(make_pod: Any, tmp_path: Path) -> None:
    (tmp_path / "volume/sub").mkdir(parents=True)
    (tmp_path / "volume/file").write_text("from the host")
    mounts = [
        {"destination": "/data", "source": str(tmp_path / "volume"), "options": ["rbind", "idmap"]},
        {"destination": "/ro", "source": str(tmp_path / "volume"), "options": ["rbind", "ro", "idmap"]},
        {"destination": "/etc/one", "source": str(tmp_path / "volume/file"), "options": ["bind", "ro"]},
        {"destination": "/sub", "source": str(tmp_path / "volume"), "options": ["bind", "idmap", "x-orch.subpath=sub"]},
    ]
    script = "cat /etc/one; touch /ro/x || echo refused; touch /data/made /sub/inner; stat -c %u /data/made"
    assert "from the host" in (out := make_pod().run("sh", "-c", script, mounts=mounts).out)
    assert "refused" in out
    assert out.splitlines()[-1] == "0"
    assert (tmp_path / "volume/made").stat().st_uid == 0
    assert (tmp_path / "volume/sub/inner").exists()


def test_a_volume_that_cannot_be_mapped_names_the_way_out(make_pod: Any) -> None:
    mount = {"destination": "/x", "source": "/proc", "options": ["bind", "idmap"]}
    with pytest.raises(RuntimeFailure, match="hostUsers: true") as raised:
        make_pod().run("true", mounts=[mount])
    assert raised.value.reason == "NotIdmappable"


def test_limits_hold_and_an_out_of_memory_kill_is_counted(make_pod: Any) -> None:
    pod = make_pod()
    resources = {"memory": {"limit": 16 << 20, "swap": 16 << 20}, "pids": {"limit": 40}, "cpu": {"shares": 512}}
    ended = pod.run("dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=60", resources=resources)
    assert ended.code == -signal.SIGKILL
    kills, limit, peak = cgroups.oom(f"{pod.spec.cgroup}/c1")
    assert limit == 16 << 20
    assert kills >= 1  # Linux may count a victim twice when all of the cgroup goes (memory.oom.group)
    assert peak is not None
    assert peak > 15 << 20


def test_a_device_that_was_not_allowed_cannot_be_opened(make_pod: Any) -> None:
    """hostUsers, so that the filter alone stands in the way."""
    script = (
        "mknod /tmp/null c 1 3; mknod /tmp/kmsg c 1 11; echo x >/tmp/null && echo open; cat /tmp/kmsg 2>&1 | head -1"
    )
    out = make_pod(host_users=True).run("sh", "-c", script).out
    assert "open" in out
    assert "Operation not permitted" in out


def test_rlimits_umask_and_oom_score(make_pod: Any) -> None:
    limits = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
    script = "ulimit -Sn; ulimit -Hn; umask; cat /proc/self/oom_score_adj"
    out = make_pod().run("sh", "-c", script, rlimits=limits, oom_score_adj=300).out.split()
    assert out == ["100", "200", "0022", "300"]


def test_sysctls_of_the_pod_only(make_pod: Any) -> None:
    pod = make_pod(sysctls={"net.ipv4.ip_unprivileged_port_start": "0"})
    assert pod.run("cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start").out == "0\n"
    for key, value in (("kernel.core_pattern", "x"), ("vm.overcommit_memory", "1"), ("net.ipv4.a", "1\n2")):
        with pytest.raises(RuntimeFailure, match="cannot set sysctl"):
            make_pod(sysctls={key: value})


def test_a_terminal_is_the_containers_own(make_pod: Any) -> None:
    pod = make_pod()
    null = os.open(os.devnull, os.O_RDWR)
    script = "tty; test -c /dev/console && echo console; stat -c %u $(tty)"
    launched = pod.launch(pod.container(["sh", "-c", script], terminal=True, user=(5, 5, ())), (null, null, null))
    os.close(null)
    assert stat.S_ISCHR(os.fstat(launched.console).st_mode)
    seen = b""
    try:
        while chunk := os.read(launched.console, 1000):
            seen += chunk
    except OSError:  # EIO: the last end on the other side was closed
        pass
    os.close(launched.console)
    assert seen.split() == [b"/dev/pts/0", b"console", b"5"]


def test_exec_has_the_containers_confinement(make_pod: Any) -> None:
    pod = make_pod()
    null = os.open(os.devnull, os.O_RDWR)
    first = pod.launch(pod.container(["sleep", "60"]), (null, null, null))
    os.close(null)
    inside = pod.exec(first, ["sh", "-c", "cat /proc/self/status; cat /proc/1/comm; cat /proc/self/cgroup"])
    found = status(inside.out)
    assert found["CapInh"] == "0" * 16
    assert (found["CapBnd"], found["NoNewPrivs"], found["Seccomp"]) == ("00000000a80405fb", "1", "2")
    assert "sleep" in inside.out
    assert pod.exec(first, ["sh", "-c", "ls /proc/self/fd | wc -l"]).out.strip() == "4"  # 0-2 and ls's own
    assert pod.exec(first, ["id", "-u"], user={"username": "redis"}).out == "999\n"
    with pytest.raises(LaunchError) as raised:
        pod.exec(first, ["nowhere"])
    assert raised.value.exit_code == 127


def test_the_overlay_for_older_kernels_behaves_alike(make_pod: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "kernel", lambda: (6, 1))
    assert make_pod().run("sh", "-c", "echo x >/etc/passwd; stat -c %u /etc/passwd", number=9).out == "0\n"


def test_everything_of_the_machine_on_request(make_pod: Any) -> None:
    pod = make_pod(host_users=True, host_network=True, host_pid=True, host_ipc=True, hostname="")
    out = pod.run("sh", "-c", "for n in user net ipc uts pid; do readlink /proc/self/ns/$n; done").out.split()
    assert out == [os.readlink(f"/proc/self/ns/{n}") for n in ("user", "net", "ipc", "uts", "pid")]


def test_kill_reaches_all_at_once(make_pod: Any) -> None:
    pod = make_pod()
    null = os.open(os.devnull, os.O_RDWR)
    pod.launch(pod.container(["sh", "-c", "sleep 60 & sleep 60 & wait"]), (null, null, null))
    os.close(null)
    cgroup = launch.cgroup_of(pod.container(["x"]), pod.spec)
    assert cgroups.processes(cgroup)
    cgroups.freeze(cgroup)
    assert cgroups.frozen(cgroup)
    cgroups.kill_all(cgroup)
    os.waitid(os.P_PIDFD, pod._launched[0].pidfd, os.WEXITED | os.WNOWAIT)
    assert cgroups.stats(cgroup).pids <= 1
