"""What comes must go: after work is done, daemon and machine hold what they held before."""

import os
from collections import Counter
from pathlib import Path

from e2e.checks import alive, cgroups_named, descriptors, eventually, leftovers, links_of
from e2e.conftest import HELLO, Host
from e2e.daemon import Daemon
from e2e.project import Project


def held(daemon: Daemon) -> dict[str, int]:
    """Descriptors of the processes behind an instance, threads of the daemon, and all that it has on the machine."""
    status = daemon.status()
    pids = {"daemon": status["pid"], "supervisor": status["supervisorPid"], "resolver": status["resolverPid"]}
    kinds = {name: Counter(each.partition(":")[0] for each in descriptors(pid)) for name, pid in pids.items()}
    return {
        **{name: sum(count.values()) for name, count in kinds.items()},
        "links": len(links_of(daemon.bridge)),
        "cgroups": len(cgroups_named(f"/orch-{daemon.name}/")),
        "mounts": Path("/proc/self/mountinfo").read_text().count(f"/orch-{daemon.name}/"),
        "containers": len(os.listdir(f"{daemon.run}/containers")),
        "sandboxes": len(os.listdir(f"{daemon.run}/sandboxes")),
        "volatile": len(os.listdir(f"{daemon.run}/volatile")),
    }


def cycle(project: Project) -> None:
    """One of everything: apply, exec, logs, status, restart, delete with its data."""
    project.apply(HELLO)
    project.exec("web", "true").expect()
    project.logged("hello from worker", "worker")
    project.orch("status").expect()
    project.orch("restart", "worker").expect()
    project.orch("delete", "-f", "compose.yaml", "--volumes", "-y").expect()


def test_nothing_grows_over_cycles_of_apply_and_delete(own_project: Project) -> None:
    """After the first round everything is warm; after two more the counts are the same."""
    daemon = own_project.daemon
    cycle(own_project)
    warm = eventually(lambda: held(daemon))
    for _ in range(2):
        cycle(own_project)

    def flat() -> bool:
        now = held(daemon)
        grown = {key: (warm[key], count) for key, count in now.items() if count > warm[key] + (key == "daemon") * 2}
        assert not grown, f"grown from, to: {grown}"
        return True

    eventually(flat, within=10)


def test_clients_that_are_killed_leave_nothing_in_the_daemon(own_project: Project) -> None:
    """logs -f, exec and watches whose clients die at once: the daemon's descriptors come back down."""
    own_project.apply(HELLO)
    daemon = own_project.daemon
    words = [
        ("logs", "-f"),
        ("get", "pods", "-w"),
        ("status", "-w"),
        ("exec", "web", "--", "sleep", "100"),
        ("events", "-w"),
    ]

    def hammer() -> None:
        running = [daemon.popen(*each, cwd=own_project.folder, stdout=-1) for each in words]
        for process in running:
            assert process.stdout is not None
        eventually(lambda: len(daemon.pids(own_project.pod("web"))) > 1)
        for process in running:
            with process:
                process.kill()
        eventually(lambda: len(daemon.pids(own_project.pod("web"))) == 1, what="the exec's command to end")

    hammer()
    before = eventually(lambda: held(daemon))
    for _ in range(3):
        hammer()
    eventually(lambda: held(daemon)["daemon"] <= before["daemon"] + 2, within=10, what="descriptors to go")
    assert held(daemon)["supervisor"] <= before["supervisor"]


def test_stop_leaves_containers_and_stop_all_leaves_nothing(host: Host, tmp_path: Path) -> None:
    """stop: containers and published names go on, start adopts them. stop --all: only the state is left; --purge: not
    even that."""
    daemon = host.daemon()
    project = Project(daemon, tmp_path, "stays")
    try:
        project.write(HELLO)
        daemon.start()
        project.orch("apply", "-p", "stays").expect()
        pids = [project.pid(name) for name in ("web", "worker")]
        daemon.note_links()
        daemon.orch("system", "stop").expect()
        assert all(map(alive, pids))
        daemon.start()
        assert [project.pid(name) for name in ("web", "worker")] == pids
        assert daemon.orch("system", "stop", "--all").expect().out == "orch: stopped with all containers\n"
        left = eventually(lambda: [x for x in leftovers(daemon.name, daemon.links) if not x.startswith("process")])
        assert left == [f"directory {daemon.state}"]
    finally:
        daemon.finish()


def test_two_instances_do_not_touch_each_other(host: Host, shared: Daemon, project: Project) -> None:
    """A second daemon with the same project: own addresses, own bridge; its end leaves the first one alone."""
    project.apply(HELLO)
    pid = project.pid("web")
    other = host.daemon()
    other.start()
    try:
        other.orch("apply", "-f", str(project.file), "-p", project.name).expect()
        addresses = {pod["status"]["podIP"] for pod in other.pods(project.name)}
        assert addresses.isdisjoint(pod["status"]["podIP"] for pod in project.pods())
        assert other.status()["podCIDR"] != shared.status()["podCIDR"]
    finally:
        other.finish()
    assert alive(pid)
    assert project.exec("web", "true").code == 0
