"""What a container sees and is held to: environment, user, resources, start and stop."""

import os
import re
import signal
from pathlib import Path

from e2e.checks import alive, eventually, kill, process
from e2e.project import Project


def pod(name: str, container: str, more: str = "", kind: str = "") -> str:
    """A Pod of one container called main, fields in flow style."""
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}{kind}}}
spec:
  terminationGracePeriodSeconds: 0
  {more}
  containers:
  - {{name: main, image: local/host, {container}}}
---
"""


SLEEP = "command: [sleep, infinity]"


def test_environment_from_everywhere(project: Project) -> None:
    """Values, ConfigMap, Secret, envFrom, fields of the pod, and $(VAR) of earlier ones."""
    text = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {LEVEL: debug, COLOR: green}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {TOKEN: s3cret}
---
""" + pod("e", """command: [sh, -c, "echo '$(GREETING)'; exec sleep infinity"],
      envFrom: [{configMapRef: {name: settings}, prefix: SET_}],
      env: [{name: WHO, value: world}, {name: GREETING, value: "hello $(WHO), $$(WHO) and $(NOBODY)"},
            {name: LEVEL, valueFrom: {configMapKeyRef: {name: settings, key: LEVEL}}},
            {name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: TOKEN}}},
            {name: GONE, valueFrom: {configMapKeyRef: {name: settings, key: none, optional: true}}},
            {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}},
            {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}},
            {name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory}}}],
      resources: {limits: {memory: 64Mi}}""")  # fmt: skip
    project.objects(text)
    found = dict(line.partition("=")[::2] for line in project.sh("e", "env").splitlines())
    wanted = {"WHO": "world", "GREETING": "hello world, $(WHO) and $(NOBODY)", "LEVEL": "debug", "TOKEN": "s3cret",
              "POD": "e", "LIMIT": str(64 << 20), "SET_LEVEL": "debug", "SET_COLOR": "green"}  # fmt: skip
    assert {name: found.get(name) for name in wanted} == wanted
    assert found["IP"] == project.pod("e")["status"]["podIP"]
    assert "GONE" not in found
    assert project.logs("e") == ["hello world, $(WHO) and $(NOBODY)"]


def test_a_pod_waits_for_the_config_it_needs(project: Project) -> None:
    """Without its ConfigMap a pod does not start and says what it waits for; it starts when that comes."""
    text = pod("w", SLEEP + ", envFrom: [{configMapRef: {name: late}}]")
    project.objects(text, "--detach")
    why = eventually(lambda: [line for line in project.orch("status", "-n", project.name).lines if "late" in line])
    assert "pod/w" in why[0]
    project.objects("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: late}\ndata: {A: b}\n")
    eventually(lambda: project.pid("w"))
    assert project.sh("w", "echo $A") == "b\n"


def test_working_directory_user_and_group(project: Project) -> None:
    """workingDir; a user by number with its groups; a user by name, looked up in the image."""
    name = Path("/etc/passwd").read_text().split("games:x:")[1].split(":")
    project.objects(
        pod("number", SLEEP + ", workingDir: /var/tmp, securityContext: {runAsUser: 1234, runAsGroup: 99}",
            "securityContext: {supplementalGroups: [77]}")
        + pod("name", SLEEP, kind=", annotations: {orchestr.dev/user: games}")
    )  # fmt: skip
    assert project.sh("number", "id -u; id -g; id -G; pwd").split() == ["1234", "99", "99", "77", "/var/tmp"]
    assert project.sh("name", "id -un; id -u; id -g").split() == ["games", name[0], name[1]]


def test_a_user_that_is_not_in_the_image_is_told(project: Project) -> None:
    """An unknown user name: the container does not start, and apply says which name."""
    done = project.objects(
        pod("u", SLEEP, kind=", annotations: {orchestr.dev/user: nobody-knows}"), "--timeout", "8s", code=1
    )
    assert "nobody-knows" in done.err


def test_limits_are_in_the_cgroup_files(project: Project) -> None:
    """cpu, memory and pids limits are what the kernel shows for the container's cgroup."""
    limits = "{cpu: 250m, memory: 48Mi, orchestr.dev/pids: 20}"
    project.objects(pod("r", SLEEP + f", resources: {{limits: {limits}}}"))
    made, daemon = project.pod("r"), project.daemon
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        files = {"memory.max": str(48 << 20), "pids.max": "20", "cpu.max": "25000 100000"}
        found = {file: Path(daemon.cgroup(made, "main"), file).read_text().strip() for file in files}
    else:
        files = {"memory/memory.limit_in_bytes": str(48 << 20), "pids/pids.max": "20", "cpu/cpu.cfs_quota_us": "25000"}
        pairs = [(file, *file.split("/")) for file in files]
        found = {key: Path(daemon.cgroup(made, "main", c), file).read_text().strip() for key, c, file in pairs}
    assert found == files


def test_the_pids_limit_holds(project: Project) -> None:
    """A fork bomb stops at the limit; the container goes on."""
    project.objects(pod("p", SLEEP + ", resources: {limits: {orchestr.dev/pids: 10}}"))
    script = "import os, signal\nn = 0\ntry:\n    while n < 50:\n        os.fork() or signal.pause()\n        n += 1\n"
    script += "except BlockingIOError:\n    print(n)\nos.killpg(0, 9)\n"
    done = project.exec("p", "setsid", "python3", "-uc", script)
    assert 1 <= int(done.out.split()[-1]) < 10
    assert alive(project.pid("p"))


def test_an_oom_kill_is_told_with_limit_and_peak(project: Project) -> None:
    """A container over its memory limit ends as OOMKilled; status says how much it may and what it took."""
    eater = 'command: [python3, -c, "x = bytearray(200 << 20)"], resources: {limits: {memory: 32Mi}}'
    project.objects(pod("o", eater, "restartPolicy: Never"), code=1)
    ended = project.pod("o")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["reason"] == "OOMKilled"
    assert ended["exitCode"] == 137
    assert re.search(r"32\s?Mi", ended["message"])
    assert "peak" in ended["message"]
    assert "OOMKilled" in project.orch("status", "-n", project.name).out


def test_init_containers_run_in_order_before_the_others(project: Project) -> None:
    """Each init container ends before the next begins, and all before the main one."""
    step = "image: local/host, volumeMounts: [{name: shared, mountPath: /s}]"
    inits = ", ".join(
        f'{{name: i{n}, {step}, command: [sh, -c, "sleep 0.1; echo {n} >> /s/order"]}}' for n in (1, 2, 3)
    )
    more = f"volumes: [{{name: shared, emptyDir: {{}}}}]\n  initContainers: [{inits}]"
    project.objects(
        pod(
            "i",
            'command: [sh, -c, "cat /s/order; exec sleep infinity"], volumeMounts: [{name: shared, mountPath: /s}]',
            more,
        )
    )
    assert project.logged("3", "i", "-c", "main") == ["1", "2", "3"]
    statuses = project.pod("i")["status"]["initContainerStatuses"]
    assert [each["state"]["terminated"]["reason"] for each in statuses] == ["Completed"] * 3


def test_a_failing_init_container_holds_the_others_back(project: Project) -> None:
    """The main container never starts; the reason names the init container and its exit code."""
    more = 'restartPolicy: Never\n  initContainers: [{name: first, image: local/host, command: [sh, -c, "exit 9"]}]'
    done = project.objects(pod("f", SLEEP, more), code=1)
    assert "first" in done.err
    assert "9" in done.err
    assert "running" not in project.pod("f")["status"]["containerStatuses"][0]["state"]


def test_containers_of_a_pod_share_network_ipc_and_uts(project: Project) -> None:
    """Two containers have one network, ipc and uts namespace, and mounts and processes of their own."""
    text = pod("two", SLEEP).replace("---", "  - {name: web-2, image: local/host, command: [sleep, infinity]}\n---")
    project.objects(text.replace("name: main", "name: web-1"))
    made = project.pod("two")
    first, second = (project.daemon.pid(made, name) for name in ("web-1", "web-2"))

    def space(pid: int, name: str) -> str:
        return Path(f"/proc/{pid}/ns/{name}").readlink().name

    for name in ("net", "ipc", "uts", "user"):
        assert space(first, name) == space(second, name) != space(os.getpid(), name)
    for name in ("mnt", "pid", "cgroup"):
        assert space(first, name) != space(second, name)
    assert project.orch("exec", "-c", "web-2", "two", "-n", project.name, "--", "hostname").expect().out == "two\n"


def test_init_reaps_orphans_and_passes_signals_on(project: Project) -> None:
    """init: true: process 1 reaps what is orphaned, and the command gets the stop signal and may clean up."""
    script = "trap 'echo got TERM; exit 3' TERM; sh -c 'sleep 0.1 & exit'; echo ready; while :; do sleep 0.05; done"
    project.apply(f"""
        services:
          i: {{image: local/host, init: true, restart: "no", stop_grace_period: 20s, command: [sh, -c, "{script}"]}}
    """, "--detach")  # fmt: skip
    project.logged("ready", "i")
    made = project.pod("i")
    eventually(lambda: all(process(pid, "status")["State"][0] != "Z" for pid in project.daemon.pids(made)))
    eventually(lambda: len(project.daemon.pids(made)) <= 3)
    with project.daemon.popen("logs", "-f", "--no-log-prefix", "i", "-n", project.name, stdout=-1) as following:
        assert following.stdout is not None
        project.orch("delete", "pod", made["metadata"]["name"], "-n", project.name).expect()
        eventually(lambda: following.stdout is not None and following.stdout.readline() == b"got TERM\n", within=5)
        following.kill()


def test_the_stop_signal_and_the_grace(project: Project) -> None:
    """The image's or file's stop signal is sent; who ignores it is killed when the grace is over, and only then."""
    project.apply("""
        services:
          polite:
            image: local/host
            restart: always
            stop_signal: SIGUSR1
            stop_grace_period: 30s
            volumes: ["./out:/out"]
            command:
              [sh, -c, "trap 'echo usr1 > /out/polite; exit 0' USR1; touch /out/up; while :; do sleep 0.05; done"]
          stubborn:
            image: local/host
            restart: always
            stop_grace_period: 1s
            command: [sh, -c, "trap '' TERM; while :; do sleep 0.05; done"]
    """)
    eventually(lambda: (project.folder / "out/up").exists())
    pid = project.pid("stubborn")
    project.orch("delete", "-f", "compose.yaml").expect()
    assert (project.folder / "out/polite").read_text() == "usr1\n"
    assert not alive(pid)


def test_a_container_that_ends_is_started_again_with_growing_delay(project: Project) -> None:
    """restartPolicy Always: counted, backed off, and status says when the next try is."""
    project.objects(pod("again", 'command: [sh, -c, "exit 4"]'), "--detach")
    status = eventually(
        lambda: [line for line in project.orch("status", "-n", project.name).lines if "next try at" in line]
    )
    assert "exited with code 4" in status[0]
    eventually(lambda: project.pod("again")["status"]["containerStatuses"][0]["restartCount"] >= 3)


def test_a_killed_process_gets_a_successor(project: Project) -> None:
    """kill -9 of a container's process: a new one runs, the pod and its address stay."""
    project.objects(pod("k", SLEEP))
    made, pid = project.pod("k"), project.pid("k")
    kill(pid, signal.SIGKILL)
    assert eventually(lambda: (found := project.pid("k")) != pid and found)
    after = project.pod("k")
    assert after["metadata"]["uid"] == made["metadata"]["uid"]
    assert after["status"]["podIP"] == made["status"]["podIP"]
    eventually(lambda: project.pod("k")["status"]["containerStatuses"][0]["restartCount"] == 1)
