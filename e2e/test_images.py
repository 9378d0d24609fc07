"""Images: loaded from every form of archive, run as they say, saved, removed; what is hostile is refused."""

import json
import subprocess
from functools import cache
from pathlib import Path

import pytest

from e2e.checks import alive, eventually
from e2e.conftest import Host
from e2e.daemon import Daemon
from e2e.project import Project
from tests.images.tars import Entry, archive, directory, docker_files, folder, hard, layer, link, oci_files, pack, zstd

PROGRAMS = ("sh", "cat", "ls", "sleep", "id", "stat", "pwd", "env")
CONFIG = {"Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo it says $SAY; exec sleep 1000"],
          "Env": ["SAY=hello", "PATH=/bin"], "WorkingDir": "/work", "User": "worker",
          "StopSignal": "SIGKILL"}  # fmt: skip


@cache
def base() -> bytes:
    """A layer with a few programs of this machine, the libraries they need, and things that a second layer hides."""
    files = {f"bin/{name}": Path(f"/usr/bin/{name}").resolve() for name in PROGRAMS}
    for program in [*files.values()]:
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for word in listed.split():
            if word.startswith("/"):
                files[word.lstrip("/")] = Path(word).resolve()
    people = b"root:x:0:0::/root:/bin/sh\nworker:x:4242:4343::/work:/bin/sh\n"
    return layer([
        *(Entry(name, path.read_bytes(), mode=0o755) for name, path in files.items()),
        Entry("etc/passwd", people), Entry("etc/group", b"root:x:0:\nworkers:x:4343:\n"), folder("work"),
        folder("tmp", 0o1777), Entry("hide/gone", b"x"), Entry("hide/kept", b"x"),
        Entry("opaque/old", b"x"), Entry("data/file", b"lower"),
    ])  # fmt: skip


@cache
def top() -> bytes:
    """A second layer: a whiteout, an opaque directory, a replaced file, links."""
    return layer([
        Entry("hide/.wh.gone"), folder("opaque"), Entry("opaque/.wh..wh..opq"), Entry("opaque/new", b"x"),
        Entry("data/file", b"upper"), hard("data/hard", "data/file"), link("data/soft", "file"),
        Entry("data/set", b"x", mode=0o4755, uid=1000),
    ])  # fmt: skip


def load(project: Project, data: bytes, *words: str) -> None:
    (project.folder / "image.tar").write_bytes(data)
    project.orch("image", "load", "image.tar", *words).expect()


def service(image: str) -> str:
    return f"services: {{box: {{image: '{image}', restart: always, stop_grace_period: 0s}}}}\n"


def names(daemon: Daemon) -> list[str]:
    items = daemon.orch("image", "list", "-o", "json").json()["items"]
    return sorted(name for image in items for name in image["names"])


def test_a_container_runs_as_its_image_says(project: Project) -> None:
    """Entrypoint, command, environment, working directory and user come from the image; layers lie on each other."""
    load(project, archive(oci_files([base(), top()], CONFIG, name="boxed:1", packed=pack)))
    project.apply(service("boxed:1"))
    assert project.logged("it says hello", "box") == ["it says hello"]
    assert project.sh("box", "id -u; id -g; pwd").split() == ["4242", "4343", "/work"]
    assert project.sh("box", "ls /hide /opaque").split() == ["/hide:", "kept", "/opaque:", "new"]
    assert project.sh("box", "cat /data/file /data/hard /data/soft") == "upper" * 3
    assert project.sh("box", "stat -c '%a %u' /data/set") == "4755 1000\n"
    assert project.exec("box", "ls", "/usr/bin/python3").code != 0, "nothing of the machine is in it"


def test_the_file_wins_over_the_image(project: Project) -> None:
    """command, entrypoint, user, working_dir and environment of the file replace those of the image."""
    load(project, archive(oci_files([base()], CONFIG, name="boxed:2")))
    project.apply("""
        services:
          box:
            image: boxed:2
            restart: always
            stop_grace_period: 0s
            entrypoint: [/bin/sleep]
            command: ["1000"]
            user: "7:8"
            working_dir: /tmp
            environment: {SAY: other}
    """)
    assert project.sh("box", "id -u; id -g; pwd; echo $SAY").split() == ["7", "8", "/tmp", "other"]
    assert Path(f"/proc/{project.pid('box')}/cmdline").read_bytes() == b"/bin/sleep\x001000\x00"


@pytest.mark.parametrize("form", ["docker-archive", "layout", "oci-archive.zst", "docker-archive.gz"])
def test_every_form_of_archive_runs(project: Project, form: str) -> None:
    """docker-archive, an OCI layout directory, and both archives compressed as a whole."""
    name = f"form-{form.replace('.', '-')}:1"
    if form == "layout":
        place = directory(oci_files([base(), top()], CONFIG, name=name, packed=zstd), project.folder / "layout")
        project.orch("image", "load", str(place)).expect()
    else:
        made = docker_files if form.startswith("docker") else oci_files
        data = archive(made([base(), top()], CONFIG, name=name))
        load(project, {"gz": pack, "zst": zstd}.get(form.rpartition(".")[2], bytes)(data))
    project.apply(service(name))
    assert project.sh("box", "cat /data/file; ls /hide") == "upperkept\n"


def test_save_remove_and_load_again(project: Project) -> None:
    """What save writes, load takes: the same digest; inspect is JSON with digest, config and layers."""
    load(project, archive(oci_files([base(), top()], CONFIG, name="kept:1", packed=pack)))
    before = json.loads(project.orch("image", "inspect", "kept:1").expect().out)
    assert before["digest"].startswith("sha256:")
    assert len(before["layers"]) == 2
    assert before["config"]["config"]["User"] == "worker"
    project.orch("image", "save", "kept:1", "-o", "saved.tar").expect()
    project.orch("image", "remove", "kept:1").expect()
    assert "kept:1" not in names(project.daemon)
    missing = project.orch("image", "inspect", "kept:1")
    assert missing.code == 1
    assert "kept:1" in missing.err
    project.orch("image", "load", "saved.tar").expect()
    assert json.loads(project.orch("image", "inspect", "kept:1").expect().out)["digest"] == before["digest"]
    piped = project.daemon.popen("image", "save", "kept:1", "-o", "-", "--format", "docker-archive", stdout=-1)
    with piped:
        load(project, piped.communicate(timeout=30)[0], "--name", "again:1")
    assert "again:1" in names(project.daemon)
    project.orch("image", "save", "kept:1", "-o", "layout", "--format", "oci").expect()
    assert (project.folder / "layout" / "oci-layout").is_file()
    project.orch("image", "remove", "kept:1").expect()
    project.orch("image", "load", "layout").expect()
    assert json.loads(project.orch("image", "inspect", "kept:1").expect().out)["digest"] == before["digest"]
    assert project.orch("image", "save", "kept:1", "-o", "layout", "--format", "oci").code == 2


def test_a_removed_image_leaves_its_containers_alone(project: Project) -> None:
    """remove takes the name; a container that runs from it goes on, and finds all of its files. Then its layers go."""
    own = layer([Entry("data/own", b"still here")])
    load(project, archive(oci_files([base(), own], CONFIG, name="brief:1")))
    project.apply(service("brief:1"))
    pid = project.pid("box")
    project.orch("image", "remove", "brief:1").expect()
    assert alive(pid)
    assert project.sh("box", "cat /data/own") == "still here"
    project.orch("image", "prune", "--all").expect()
    assert project.sh("box", "ls /data") == "file\nown\n"
    assert layers_with("data/own", project)
    project.orch("delete", "-f", "compose.yaml", "--timeout", "20s").expect()
    assert eventually(lambda: project.orch("image", "prune").expect() and not layers_with("data/own", project))


def layers_with(path: str, project: Project) -> list[Path]:
    return list(Path(project.daemon.state, "images", "layers").glob(f"*/{path}"))


def test_prune_and_df(project: Project) -> None:
    """df says what could go, prune says it beforehand, takes it, and spares what a rollback needs."""
    for name, own in (("first:1", b"1"), ("second:1", b"2"), ("idle:1", b"3" * 300_000)):
        load(project, archive(oci_files([base(), layer([Entry(f"own/{project.name}", own)])], CONFIG, name=name)))
    for image in ("first:1", "second:1"):
        project.apply(service(image))
    rows = project.orch("image", "df", "-v").expect().out.splitlines()
    said = {row.split()[0]: row.split()[-1] for row in rows if ":1" in row}
    assert said == said | {"first:1": "yes", "second:1": "yes", "idle:1": "no"}
    assert project.orch("image", "diff", "first:1", "second:1").expect().out == f"C /own/{project.name}\n"
    project.sh("box", "echo x > /tmp/made")
    pod = project.pod("box")["metadata"]["name"]
    assert "A /tmp/made" in project.orch("image", "diff", "--container", pod, "-n", project.name).expect().out
    place = Path(project.orch("image", "mount", "second:1").expect().out.strip())
    assert (place / "own" / project.name).read_bytes() == b"2"
    assert str(place) in project.orch("image", "mount").expect().out
    project.orch("image", "unmount", "second:1").expect()
    assert not place.exists()
    told = project.orch("image", "prune", "--all", "--dry-run").expect().out
    assert "would remove idle:1" in told
    assert "first:1" not in told
    assert "idle:1" in names(project.daemon)
    assert "label=x" in project.orch("image", "prune", "--filter", "label=x").expect(2).err
    assert "removed" not in project.orch("image", "prune", "--all", "--filter", "until=0").expect().out
    done = project.orch("image", "prune", "--all", "-o", "json").json()
    assert ["idle:1"] in [image["names"] for image in done["images"]]
    assert done["size"] > 300_000
    assert {"first:1", "second:1"} <= set(names(project.daemon))


HOSTILE = {
    "parent": layer([Entry("../../escaped", b"x")]),
    "link": layer([link("d", "/"), Entry("d/escaped", b"x")]),
    "hard link": layer([hard("shadow", "../../../../etc/shadow")]),
    "device": layer([Entry("sda", type=b"4", device=(8, 0))]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_image_is_refused(project: Project, kind: str) -> None:
    """Exit 1, the reason in one line, no image more than before, no file outside."""
    before = names(project.daemon)
    (project.folder / "bad.tar").write_bytes(archive(oci_files([HOSTILE[kind]], name="bad:1")))
    done = project.orch("image", "load", "bad.tar").expect(1)
    assert "cannot unpack layer" in done.err
    assert len(done.err.splitlines()) == 1
    assert names(project.daemon) == before
    assert not Path("/escaped").exists()
    assert not list(Path(project.daemon.state, "images").rglob("escaped"))


def test_what_is_no_archive_is_told(project: Project) -> None:
    """Some file, a missing file, a missing name: exit codes 1 and 2 and a reason."""
    (project.folder / "text").write_text("hello" * 1000)
    assert "not an image archive" in project.orch("image", "load", "text").expect(1).err
    project.orch("image", "load", "nowhere.tar").expect(2)
    assert "nothing-like-it" in project.orch("image", "remove", "nothing-like-it").expect(1).err
    assert "Not A Name" in project.orch("image", "save", "Not A Name", "-o", "x.tar").err
    assert not (project.folder / "x.tar").exists()


def test_images_survive_a_restart_of_the_daemon(own_project: Project) -> None:
    """After stop and start the image is there, and its containers were never gone."""
    load(own_project, archive(oci_files([base()], CONFIG, name="stays:1")))
    own_project.apply(service("stays:1"))
    pid = own_project.pid("box")
    own_project.daemon.orch("system", "stop").expect()
    own_project.daemon.start()
    assert "stays:1" in names(own_project.daemon)
    assert eventually(lambda: own_project.pid("box") == pid)
    own_project.orch("restart", "box").expect()


def test_the_machine_itself_is_an_image(host: Host, project: Project) -> None:
    """local/host is listed, has no secret of the machine in it, and its own command ends on SIGTERM at once."""
    assert "local/host:latest" in names(project.daemon)
    project.apply("services: {box: {image: local/host, restart: always, stop_grace_period: 60s}}\n")
    assert project.exec("box", "cat", "/etc/shadow").code != 0
    assert project.sh("box", "ls /home /root") == "/home:\n\n/root:\n"
    project.orch("delete", "-f", "compose.yaml", "--timeout", "20s").expect()
