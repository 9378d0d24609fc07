"""What a container may not do: the defaults, and what a file can tighten or loosen."""

import os
from pathlib import Path

from e2e.checks import process
from e2e.project import Project
from e2e.test_containers import SLEEP, pod

NET_RAW, SYS_ADMIN, NET_BIND, CHOWN, SYS_TIME = 13, 21, 10, 0, 25


def capabilities(project: Project, name: str, which: str = "CapEff") -> int:
    return int(process(project.pid(name), "status")[which], 16)


def test_the_defaults_are_narrow(project: Project) -> None:
    """No NET_RAW, no SYS_ADMIN, nothing inheritable, no_new_privs, a seccomp filter, masked and read-only paths."""
    project.objects(pod("d", SLEEP))
    status = process(project.pid("d"), "status")
    effective = capabilities(project, "d")
    assert effective == capabilities(project, "d", "CapBnd")
    assert not effective >> NET_RAW & 1
    assert not effective >> SYS_ADMIN & 1
    assert effective >> NET_BIND & 1
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert project.exec("d", "sh", "-c", "echo 1 > /proc/sys/kernel/domainname").code != 0
    assert (
        project.sh("d", "cat /proc/timer_list /proc/keys; ls /proc/acpi /sys/firmware")
        == "/proc/acpi:\n\n/sys/firmware:\n"
    )
    assert project.exec("d", "unshare", "-U", "true").code != 0
    assert project.exec("d", "mount", "-t", "tmpfs", "none", "/mnt").code != 0
    assert project.exec("d", "mknod", "/tmp/sda", "b", "8", "0").code != 0


def test_nothing_of_the_daemon_leaks_in(project: Project) -> None:
    """A container's first process has no descriptor but its three, no mount and no variable of the machine."""
    project.objects(pod("l", SLEEP))
    pid = project.pid("l")
    assert set(os.listdir(f"/proc/{pid}/fd")) == {"0", "1", "2"}
    mounts = Path(f"/proc/{pid}/mountinfo").read_text()
    assert project.daemon.state not in mounts.replace(f"{project.daemon.state}/pods", "")
    assert "ORCH_INSTANCE" not in Path(f"/proc/{pid}/environ").read_text()
    assert "resolv.conf" in mounts


def test_capabilities_can_be_added_and_dropped(project: Project) -> None:
    """add and drop, ALL among them, are what the process has."""
    project.objects(
        pod("plus", SLEEP + ", securityContext: {capabilities: {add: [NET_RAW], drop: [CHOWN]}}")
        + pod("none", SLEEP + ", securityContext: {capabilities: {drop: [ALL]}}")
        + pod("one", SLEEP + ", securityContext: {capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}")
    )
    plus = capabilities(project, "plus")
    assert plus >> NET_RAW & 1
    assert not plus >> CHOWN & 1
    assert capabilities(project, "none") == 0
    assert capabilities(project, "one") == 1 << NET_BIND


def test_a_read_only_root_can_still_write_to_volumes(project: Project) -> None:
    """readOnlyRootFilesystem: writes to the root fail, an emptyDir and /dev/shm take them."""
    mount = "volumeMounts: [{name: v, mountPath: /v}], securityContext: {readOnlyRootFilesystem: true}"
    project.objects(pod("r", f"{SLEEP}, {mount}", "volumes: [{name: v, emptyDir: {}}]"))
    assert "Read-only file system" in project.exec("r", "touch", "/etc/x").err
    assert project.sh("r", "touch /v/x /dev/shm/x; echo fine") == "fine\n"


def test_run_as_non_root_is_refused_for_root(project: Project) -> None:
    """runAsNonRoot with no user: not started, with the reason and what to set."""
    done = project.objects(pod("n", SLEEP + ", securityContext: {runAsNonRoot: true}"), code=1)
    assert "runAsNonRoot" in done.err
    assert "runAsUser" in done.err
    project.objects(pod("y", SLEEP + ", securityContext: {runAsNonRoot: true, runAsUser: 1000}"))
    assert project.sh("y", "id -u") == "1000\n"


def test_privilege_escalation_only_where_it_is_allowed(project: Project) -> None:
    """allowPrivilegeEscalation: true leaves no_new_privs off; the default is on."""
    project.objects(pod("esc", SLEEP + ", securityContext: {allowPrivilegeEscalation: true}"))
    assert process(project.pid("esc"), "status")["NoNewPrivs"] == "0"


def test_seccomp_can_be_given_up_by_name(project: Project) -> None:
    """seccompProfile Unconfined: no filter. The default filter refuses unshare, as the other tests show."""
    project.objects(pod("u", SLEEP + ", securityContext: {seccompProfile: {type: Unconfined}}"))
    assert process(project.pid("u"), "status")["Seccomp"] == "0"


def test_who_gives_up_the_user_namespace_is_shown(project: Project) -> None:
    """hostNetwork and hostUsers run as the machine's root; status says `no user namespace`."""
    project.objects(
        pod("net", SLEEP, "hostNetwork: true") + pod("users", SLEEP, "hostUsers: true") + pod("safe", SLEEP)
        + pod("priv", SLEEP + ", securityContext: {privileged: true}")
    )  # fmt: skip
    lines = {line.split()[0]: line for line in project.orch("status", "-n", project.name).lines[1:]}
    shown = {name.partition("/")[2].split()[0] for name, line in lines.items() if "no user namespace" in line}
    assert shown == {"net", "users", "priv"}
    own = Path(f"/proc/{os.getpid()}/ns")
    assert Path(f"/proc/{project.pid('net')}/ns/net").readlink() == (own / "net").readlink()
    assert Path(f"/proc/{project.pid('users')}/ns/user").readlink() == (own / "user").readlink()
    assert Path(f"/proc/{project.pid('safe')}/ns/user").readlink() != (own / "user").readlink()


def test_sysctls_and_shared_processes(project: Project) -> None:
    """Namespaced sysctls are set for the pod; a machine-wide one is refused; shareProcessNamespace shares them."""
    text = pod("s", SLEEP, "securityContext: {sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: '0'}]}")
    project.objects(text)
    assert project.sh("s", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start") == "0\n"
    bad = pod("t", SLEEP, "securityContext: {sysctls: [{name: kernel.panic, value: '1'}]}")
    assert "kernel.panic" in project.objects(bad, code=2).err
