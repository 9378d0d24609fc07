"""`docker run` and `podman run` with orch-oci: what each option means must hold inside the container."""

import pytest

from e2e.callers.engine import Engine

PRINT = ("sh", "-c", "cat /proc/self/status")


def status(text: str) -> dict[str, str]:
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def test_output_and_exit_code(caller: Engine) -> None:
    done = caller.run("sh", "-c", "echo out; echo err >&2; exit 7", code=7)
    assert (done.out, done.err) == ("out\n", "err\n")


@pytest.mark.parametrize(("command", "code"), [("/nowhere", 127), ("/bin", 126)])
def test_what_cannot_run_is_told_by_127_and_126(caller: Engine, command: str, code: int) -> None:
    assert command in caller.run(command, code=code).err


def test_a_killed_command_is_137(caller: Engine) -> None:
    caller.run("sh", "-c", "kill -9 $$; sleep 1", options=["--init"], code=137)


def test_user_and_groups(caller: Engine) -> None:
    found = status(caller.run(*PRINT, options=["--user", "1234:5678", "--group-add", "77"]).out)
    assert (found["Uid"].split()[0], found["Gid"].split()[0]) == ("1234", "5678")
    assert "77" in found["Groups"].split()


def test_a_read_only_root_with_a_writable_tmpfs(caller: Engine) -> None:
    done = caller.run(
        "sh", "-c", "touch /x; touch /scratch/x && echo ok", options=["--read-only", "--tmpfs", "/scratch"]
    )
    assert done.out == "ok\n"
    assert "Read-only file system" in done.err


def test_dropped_capabilities_are_gone(caller: Engine) -> None:
    held = int(status(caller.run(*PRINT, options=["--cap-drop", "CHOWN"]).out)["CapBnd"], 16)
    assert held
    assert not held & 1
    assert status(caller.run(*PRINT, options=["--cap-drop", "ALL"]).out)["CapEff"] == "0" * 16
    added = int(status(caller.run(*PRINT, options=["--cap-add", "SYS_TIME"]).out)["CapEff"], 16)
    assert added & 1 << 25


def test_seccomp_filters_and_can_be_off(caller: Engine) -> None:
    assert status(caller.run(*PRINT).out)["Seccomp"] == "2"
    assert status(caller.run(*PRINT, options=["--security-opt", "seccomp=unconfined"]).out)["Seccomp"] == "0"


def test_no_new_privileges(caller: Engine) -> None:
    assert status(caller.run(*PRINT, options=["--security-opt", "no-new-privileges"]).out)["NoNewPrivs"] == "1"


def test_limits_of_cgroups(caller: Engine) -> None:
    options = ["--pids-limit", "50", "--memory", "64m", "--cpuset-cpus", "0", "--cpus", "0.5", "--cgroupns", "private"]
    script = "cd /sys/fs/cgroup; cat pids/pids.max memory/memory.limit_in_bytes 2>/dev/null || cat pids.max memory.max"
    done = caller.run("sh", "-c", script, options=options)
    assert done.out.split() == ["50", str(64 << 20)]
    assert status(caller.run(*PRINT, options=options).out)["Cpus_allowed_list"] == "0"


def test_ulimits_and_sysctls(caller: Engine) -> None:
    options = ["--ulimit", "nofile=321:654", "--sysctl", "net.ipv4.ip_unprivileged_port_start=77"]
    done = caller.run(
        "sh", "-c", "ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_unprivileged_port_start", options=options
    )
    assert done.out.split() == ["321", "654", "77"]


def test_a_device(caller: Engine) -> None:
    done = caller.run(
        "sh", "-c", "test -c /dev/zorch && head -c 3 /dev/zorch | wc -c", options=["--device", "/dev/zero:/dev/zorch"]
    )
    assert done.out.strip() == "3"


def test_an_init_reaps(caller: Engine) -> None:
    assert "sh" not in caller.run("cat", "/proc/1/comm", options=["--init"]).out


def test_a_bind_and_a_host_name(caller: Engine) -> None:
    done = caller.run(
        "sh", "-c", "hostname; head -1 /there/passwd", options=["--hostname", "ship", "-v", "/etc:/there:ro"]
    )
    assert done.out.splitlines() == ["ship", "root:x:0:0:root:/root:/bin/bash"]


def test_no_descriptor_of_the_engine_reaches_the_container(caller: Engine) -> None:
    assert set(caller.run("sh", "-c", "ls /proc/self/fd").out.split()) <= {"0", "1", "2", "3"}  # 3 is ls's own


def test_a_terminal(caller: Engine) -> None:
    done = caller.run("sh", "-c", "test -t 0 && test -t 1 && stat -c %t:%T /dev/console", options=["-t"])
    assert done.out.strip().startswith("88:")
