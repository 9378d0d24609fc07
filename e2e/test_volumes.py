"""What is mounted into containers: the machine's paths, claims, memory, ConfigMaps and Secrets."""

import os
from pathlib import Path

from e2e.checks import eventually
from e2e.project import Project
from e2e.test_containers import SLEEP, pod


def test_host_paths_read_write_and_read_only(project: Project) -> None:
    """A bind is the machine's own directory; ro refuses writes; a file is mounted as a file."""
    (project.folder / "there").mkdir()
    (project.folder / "there/file").write_text("from outside\n")
    project.apply("""
        services:
          b:
            image: local/host
            command: [sleep, infinity]
            restart: always
            stop_grace_period: 0s
            volumes: ["./there:/rw", "./there:/ro:ro", "./there/file:/etc/one:ro"]
    """)
    assert (
        project.sh("b", "cat /rw/file /etc/one; echo inside > /rw/new; cat /ro/new")
        == "from outside\n" * 2 + "inside\n"
    )
    assert "Read-only" in project.exec("b", "sh", "-c", "echo x > /ro/file").err
    assert (project.folder / "there/new").read_text() == "inside\n"


def test_root_inside_owns_as_root_outside_through_the_id_map(project: Project) -> None:
    """Root of the container is no root of the machine, yet what it writes to a bind belongs to root there."""
    (project.folder / "out").mkdir()
    project.apply("""
        services:
          b:
            image: local/host
            command: [sh, -c, "touch /out/root; chown 1234:99 /out/root; touch /out/mine; exec sleep infinity"]
            restart: always
            stop_grace_period: 0s
            volumes: ["./out:/out"]
    """)
    eventually(lambda: (project.folder / "out/mine").exists())
    owners = {name: (os.stat(project.folder / "out" / name).st_uid) for name in ("root", "mine")}
    assert owners == {"root": 1234, "mine": 0}
    start, outside, count = Path(f"/proc/{project.pid('b')}/uid_map").read_text().split()
    assert (start, count) == ("0", "65536")
    assert int(outside) >= 65536


def test_two_pods_have_different_id_ranges(project: Project) -> None:
    """Each pod maps its users to a range of its own."""
    project.objects(pod("a", SLEEP) + pod("b", SLEEP))
    maps = {Path(f"/proc/{project.pid(name)}/uid_map").read_text() for name in ("a", "b")}
    assert len(maps) == 2


def test_a_claim_keeps_data_when_the_pod_is_replaced(project: Project) -> None:
    """A named volume holds what a pod wrote for the pod that follows it."""
    text = """
        services:
          db:
            image: local/host
            command: [sleep, infinity]
            restart: always
            stop_grace_period: 0s
            volumes: [data:/data]
        volumes: {data: {}}
    """
    project.apply(text)
    project.sh("db", "echo precious > /data/file")
    before = project.pod("db")["metadata"]["uid"]
    project.orch("restart", "db").expect()
    assert project.pod("db")["metadata"]["uid"] != before
    assert project.sh("db", "cat /data/file; stat -c %u /data/file") == "precious\n0\n"


def test_an_emptydir_is_shared_by_the_pod_and_ends_with_it(project: Project) -> None:
    """Two containers see one emptyDir; another pod has its own; medium Memory is a tmpfs of the given size."""
    mounts = "volumeMounts: [{name: s, mountPath: /s}, {name: m, mountPath: /m}]"
    second = f"  - {{name: other, image: local/host, {SLEEP}, {mounts}}}\n---"
    volumes = "volumes: [{name: s, emptyDir: {}}, {name: m, emptyDir: {medium: Memory, sizeLimit: 4Mi}}]"
    project.objects(pod("e", f"{SLEEP}, {mounts}", volumes).replace("---", second))
    project.sh("e", "echo shared > /s/file; echo fast > /m/file")
    read = project.orch("exec", "-n", project.name, "-c", "other", "e", "--", "cat", "/s/file", "/m/file")
    assert read.expect().out == "shared\nfast\n"
    assert "tmpfs" in project.sh("e", "stat -f -c %T /m; stat -f -c %T /s").splitlines()[0]
    full = project.exec("e", "sh", "-c", "head -c 5000000 /dev/zero > /m/big")
    assert "No space left" in full.err
    project.orch("delete", "pod", "e", "-n", project.name).expect()
    project.objects(pod("e", f"{SLEEP}, {mounts}", volumes))
    assert project.sh("e", "ls /s /m | grep file || true") == ""


def test_tmpfs_of_a_compose_file(project: Project) -> None:
    """tmpfs: is memory, with the size and options given."""
    project.apply("""
        services:
          t:
            image: local/host
            command: [sleep, infinity]
            restart: always
            stop_grace_period: 0s
            tmpfs: ["/cache:size=1m", /plain]
    """)
    assert project.sh("t", "stat -f -c %T /cache /plain").split() == ["tmpfs", "tmpfs"]
    assert "No space left" in project.exec("t", "sh", "-c", "head -c 2000000 /dev/zero > /cache/x").err


def test_configmaps_and_secrets_as_files(project: Project) -> None:
    """Keys become files with modes, items choose and rename, subPath mounts one; Secrets are in memory only."""
    text = """
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {a.conf: "one\\n", b.conf: "two\\n"}
binaryData: {c.bin: /wD+}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {key: s3cret}
---
""" + pod("f", f"""{SLEEP}, volumeMounts: [{{name: all, mountPath: /all}}, {{name: some, mountPath: /some}},
      {{name: key, mountPath: /key, readOnly: true}}, {{name: all, mountPath: /etc/b.conf, subPath: b.conf}}]""",
          """volumes:
  - {name: all, configMap: {name: c}}
  - {name: some, configMap: {name: c, defaultMode: 0400,
      items: [{key: a.conf, path: deep/er/x, mode: 0755}, {key: b.conf, path: y}]}}
  - {name: key, secret: {secretName: s, defaultMode: 0440}}""")  # fmt: skip
    project.objects(text)
    assert project.sh("f", "cat /all/a.conf /all/b.conf /some/deep/er/x /some/y /etc/b.conf /key/key") == (
        "one\ntwo\none\ntwo\ntwo\ns3cret"
    )
    assert project.sh("f", "od -An -tx1 /all/c.bin; stat -Lc %a /some/deep/er/x /some/y /key/key").split() == [
        "ff", "00", "fe", "755", "400", "440",
    ]  # fmt: skip
    assert project.sh("f", "ls /some /all").split() == ["/all:", "a.conf", "b.conf", "c.bin", "/some:", "deep", "y"]
    assert project.sh("f", "stat -f -c %T /key") == "tmpfs\n"
    assert project.exec("f", "sh", "-c", "echo x > /key/key").code != 0
    state = project.daemon.state
    holds = [
        p for p in Path(state).rglob("*") if p.is_file() and "orch.db" not in p.name and b"s3cret" in p.read_bytes()
    ]
    assert holds == [], "a Secret's content is on disk outside the database"


def test_a_changed_config_rolls_the_service(project: Project) -> None:
    """New content of a Compose config gives the service a new pod that sees it."""
    text = """
        services:
          c:
            image: local/host
            command: [sleep, infinity]
            restart: always
            stop_grace_period: 0s
            configs: [page]
        configs: {page: {content: "first"}}
    """
    project.apply(text)
    assert project.sh("c", "cat /page") == "first"
    project.apply(text.replace("first", "second"))
    assert project.sh("c", "cat /page") == "second"


def test_a_bind_that_is_not_there_is_told(project: Project) -> None:
    """A missing hostPath of type Directory fails apply with the path."""
    volumes = "volumes: [{name: v, hostPath: {path: /no/such/place, type: Directory}}]"
    done = project.objects(pod("n", SLEEP + ", volumeMounts: [{name: v, mountPath: /v}]", volumes), code=1)
    assert "/no/such/place" in done.err


def test_two_containers_share_a_config_map(project: Project) -> None:
    """The start of the second container leaves the first one its files."""
    project.objects("""
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {k: "v"}
---
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{name: c, configMap: {name: c}}]
  containers:
  - {name: a, image: local/host, command: [sleep, infinity], volumeMounts: [{name: c, mountPath: /c}]}
  - {name: b, image: local/host, command: [sleep, infinity], volumeMounts: [{name: c, mountPath: /c}]}
""")
    for name in ("a", "b"):
        assert project.orch("exec", "-n", project.name, "-c", name, "pod/two", "--", "cat", "/c/k").out == "v", name
