"""The same attacks by way of `orch apply`: hostile images made on the spot, containers that turn on their volumes."""

import os
from pathlib import Path

import pytest

from e2e.checks import eventually, kill
from e2e.project import Project
from e2e.test_containers import SLEEP, pod
from e2e.test_images import base, load, service
from tests.images.tars import Entry, archive, layer, link, oci_files

CONFIG = {"Entrypoint": ["/bin/sleep"], "Cmd": ["1000"], "Env": ["PATH=/bin"]}


def image(project: Project, name: str, *entries: Entry, **config: object) -> str:
    layers = [base(), layer(entries)] if entries else [base()]
    load(project, archive(oci_files(layers, {**CONFIG, **config}, name=f"{name}:1")))
    return f"{name}:1"


@pytest.mark.parametrize("name", ["dev", "proc", "sys", "etc"])
def test_an_image_whose_directory_is_a_link_to_the_machine(project: Project, machine: Path, name: str) -> None:
    """CVE-2026-41579, CVE-2023-27561: it is not started, or it runs; on the machine nothing is made."""
    hidden = [Entry(f"{name}/.wh..wh..opq")] if name == "etc" else []
    made = image(project, f"link-{name}", *hidden, link(name, str(machine)))
    volume = f"box: {{volumes: ['{project.folder}:/dev/x/y'], "
    project.write(service(made).replace("box: {", volume))
    done = project.orch("apply", "--timeout", "3s")
    if name in ("proc", "sys"):
        assert done.code != 0
        assert f"/{name}" in done.err + done.out


@pytest.mark.parametrize(
    "config",
    [
        {"WorkingDir": "/proc/self/fd/7"},
        {"WorkingDir": "/proc/1/root"},
        {"User": "4294967296"},
        {"User": "odd"},
        {"User": "many"},
        {"User": "evil"},
        {"Entrypoint": ["/proc/self/exe"]},
        {"Entrypoint": ["/proc/self/fd/3"]},
    ],
    ids=str,
)
def test_an_image_that_asks_for_what_is_not_its(project: Project, config: dict[str, object]) -> None:
    """CVE-2024-21626, CVE-2024-40635, CVE-2019-5736: said in words, and the machinery goes on."""
    people = f"odd:x:4294967296:0::/:\nmany:x:{'9' * 5000}:0::/:\nbad:x:5:5:\x0bevil:x:0:0::/:\n"
    supervisor = project.daemon.supervisor_pid
    made = image(project, "asks", Entry("etc/passwd", people.encode()), **config)
    project.write(service(made))
    done = project.orch("apply", "--timeout", "3s")
    assert done.code in (1, 3)
    assert "cannot" in done.err or "exited with code 127" in done.err  # what runs as /proc/self/exe has no libraries
    assert project.daemon.supervisor_pid == supervisor


def test_volumes_of_an_image_copy_nothing_from_the_machine(project: Project, machine: Path) -> None:
    """CVE-2022-23648: a hostile VOLUME is a word in a configuration; there is no copy-up."""
    volumes = {str(machine): {}, f"/../../../../..{machine}": {}, "/proc/self/root": {}, "/": {}}
    project.apply(service(image(project, "volumes", Volumes=volumes)))
    root = Path(f"/proc/{project.pid('box')}/root")
    assert not (root / str(machine)[1:]).exists()


def test_a_sub_path_that_is_a_link_stays_in_its_volume(project: Project, machine: Path) -> None:
    """CVE-2017-1002101, CVE-2021-25741: a container leaves a link in a claim, the next pod mounts it."""
    claim = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: c}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
"""
    volumes = "volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]"
    mount = "volumeMounts: [{name: v, mountPath: /v}]"
    project.objects(claim + pod("one", f"{SLEEP}, {mount}", volumes))
    project.sh("one", f"ln -s {machine} /v/link; mkdir /v/real; ln -s {machine}/deep /v/real/more")
    for index, path in enumerate(("link", "link/deep", "real/more", "real/more/er")):
        sub = f"volumeMounts: [{{name: v, mountPath: /v, subPath: {path}}}]"
        project.objects(pod(f"sub{index}", f"{SLEEP}, {sub}", volumes), "--timeout", "2s", code=1)


def test_a_config_is_written_anew_and_through_no_link(project: Project, machine: Path) -> None:
    """CVE-2025-9566: a container cannot put links in place of its ConfigMap's files, written at each start."""
    config = """
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {null: "of the config", passwd: "of the config"}
---
"""
    mount = "volumeMounts: [{name: v, mountPath: /c}]"
    project.objects(config + pod("p", f"{SLEEP}, {mount}", "volumes: [{name: v, configMap: {name: c}}]"))
    links = f"cd /c && rm -f null passwd && ln -s {machine}/null null && ln -s {machine}/passwd passwd"
    assert "Read-only file system" in project.exec("p", "sh", "-c", links).err
    before = project.pid("p")
    kill(before)
    eventually(lambda: project.pid("p") != before)
    eventually(lambda: project.exec("p", "cat", "/c/null", "/c/passwd").out == "of the config" * 2)


HOSTILE = """#!/usr/bin/python3
import io, os, sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as out:
    for name, target in ((b"got/l", b"OUT"), (b"got/here", b"."), (b"got/up", b"here/.."), (b"got/up/up", b"..")):
        link = tarfile.TarInfo(name.decode())
        link.type, link.linkname = tarfile.SYMTYPE, target.decode()
        out.addfile(link)
    for name in ("got/l/through", "got/up/up/through", "got/fine"):
        file = tarfile.TarInfo(name)
        file.size = 1
        out.addfile(file, io.BytesIO(b"!"))
"""


@pytest.mark.parametrize("option", [(), ("-a",)], ids=["plain", "archive"])
def test_what_is_copied_out_goes_through_no_link_of_the_containers(project: Project, option: tuple[str, ...]) -> None:
    """CVE-2018-15664, CVE-2019-1002101, CVE-2025-4517: a tar of the container's own that writes through its links."""
    project.write(service("local/host").replace("box: {", "box: {environment: {PATH: '/tmp:/usr/bin:/bin'}, "))
    project.orch("apply", "--timeout", "30s").expect()
    outside, into = project.folder / "outside", project.folder / "a/b/into"
    outside.mkdir()
    into.mkdir(parents=True)
    script = HOSTILE.replace("OUT", str(outside))
    project.orch("exec", "-T", "box", "sh", "-c", "cat > /tmp/tar; chmod 755 /tmp/tar", input=script).expect()
    project.orch("cp", *option, "box:/got", str(into))
    found = {path.relative_to(project.folder) for path in project.folder.rglob("*") if path.name == "through"}
    assert (into / "got/fine").read_text() == "!"
    assert all(path.is_relative_to("a/b/into") for path in found), found


def test_who_launches_has_one_thread_and_runs_from_a_read_only_mount(project: Project) -> None:
    """fork in a process with threads (python/cpython#109767); CVE-2019-5736."""
    pid = project.daemon.supervisor_pid
    assert len(os.listdir(f"/proc/{pid}/task")) == 1
    assert os.statvfs(f"/proc/{pid}/exe").f_flag & os.ST_RDONLY
