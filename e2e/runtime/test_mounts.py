"""OCI `mounts` and the root: runtime-spec config.md "Mounts", config-linux.md "Rootfs Mount Propagation"."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.runtime.bundles import NAMESPACES, Oci, attachable
from orchestr.runtime import syscalls as sc
from orchestr.runtime.overlay import kernel

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed")


def mounted(oci: Oci, *args: str, mounts: list[dict[str, Any]], **changes: Any) -> str:
    """What a container with these mounts beside the usual ones says."""
    bundle = oci.bundle(*args, **changes)
    bundle.config(lambda config: config["mounts"].extend(mounts))
    return bundle.run().out


def attributes(oci: Oci, entry: dict[str, Any]) -> list[str]:
    """The fields of its line in mountinfo: options of the mount, optional fields, type, source, of the filesystem."""
    for line in mounted(oci, "cat", "/proc/self/mountinfo", mounts=[entry]).splitlines():
        fields = line.split()
        if fields[4] == "/m":
            return fields[5:]
    raise AssertionError("not mounted")


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        *((word, word) for word in ("ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow")),
        *((f"r{word}", word) for word in ("ro", "nosuid", "nodev", "noexec", "noatime")),
        *((word, "relatime") for word in ("atime", "norelatime", "nostrictatime", "relatime", "ratime")),
    ],
)
@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
def test_attributes_are_those_asked_for(oci: Oci, tmp_path: Path, kind: str, option: str, shown: str) -> None:
    """ "Runtimes MUST/SHOULD/MAY implement the following option strings for Linux"."""
    source = tmp_path / "source"
    source.mkdir()
    entry = {"destination": "/m", "type": kind, "source": str(source) if kind == "bind" else "x", "options": [option]}
    entry["options"] = [option, "bind"] if kind == "bind" else [option]
    assert shown in attributes(oci, entry)[0].split(",")


@pytest.mark.parametrize("option", ["sync", "dirsync", "lazytime", "size=64k", "nr_inodes=77", "mode=700"])
def test_a_filesystem_has_the_parameters_asked_for(oci: Oci, option: str) -> None:
    """ "Runtimes SHOULD treat unknown options as filesystem-specific ones"."""
    entry = {"destination": "/m", "type": "tmpfs", "source": "named", "options": [option]}
    _, *_, kind, source, parameters = attributes(oci, entry)
    assert (kind, source) == ("tmpfs", "named")
    assert option in parameters.split(",")


@pytest.mark.parametrize("option", ["async", "defaults", "iversion", "noiversion", "loud", "silent", "mand", "nomand"])
def test_options_of_old_are_taken(oci: Oci, option: str) -> None:
    assert attributes(oci, {"destination": "/m", "type": "tmpfs", "source": "tmpfs", "options": [option]})


@pytest.mark.parametrize(
    ("option", "field"), [("shared", "shared:"), ("slave", ""), ("private", ""), ("unbindable", "unbindable")]
)
def test_propagation_is_the_one_asked_for(oci: Oci, tmp_path: Path, option: str, field: str) -> None:
    entry = {"destination": "/m", "source": str(tmp_path), "options": ["rbind", f"r{option}"]}
    found = " ".join(attributes(oci, entry)[1:-3])
    assert field in found
    assert field or "shared" not in found


def test_an_unknown_option_is_named(oci: Oci) -> None:
    bundle = oci.bundle("true")
    entry = {"destination": "/m", "type": "tmpfs", "source": "tmpfs", "options": ["nosiud"]}
    bundle.config(lambda config: config["mounts"].append(entry))
    assert "'nosiud' is not supported for tmpfs" in bundle.run(code=None).err


def test_mounts_are_in_the_listed_order(oci: Oci, tmp_path: Path) -> None:
    """ "The runtime MUST mount entries in the listed order", which mountinfo shows since Linux 6.8."""
    wanted = [
        {"destination": "/a", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/a/b", "source": str(tmp_path), "options": ["bind"]},
        {"destination": "/c", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/d", "source": str(tmp_path), "options": ["bind", "unbindable"]},
    ]
    found = [line.split()[4] for line in mounted(oci, "cat", "/proc/self/mountinfo", mounts=wanted).splitlines()]
    assert [path for path in found if path[1:2] in ("a", "c", "d") and path[:4] != "/dev"] == ["/a", "/a/b", "/c", "/d"]


def test_sources_are_relative_to_the_bundle_and_targets_to_the_root(oci: Oci) -> None:
    """ "Path values for bind mounts are either absolute or relative to the bundle"; relative destinations "to /"."""
    entry = {"destination": "etc/the.json", "source": "config.json", "options": ["bind"]}
    assert "ociVersion" in mounted(oci, "cat", "/etc/the.json", mounts=[entry])


def test_a_target_behind_a_dangling_link_is_made_inside(oci: Oci, tmp_path: Path) -> None:
    bundle = oci.bundle("cat", "/far/away/file")
    (bundle.rootfs / "link").symlink_to("/far/away")
    (tmp_path / "file").write_text("here")
    entry = {"destination": "/link/file", "source": str(tmp_path / "file"), "options": ["bind"]}
    assert bundle.config(lambda config: config["mounts"].append(entry)).run().out == "here"
    assert not Path("/far").exists()


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_proc_and_sys_are_mounted_on_directories_alone(oci: Oci, name: str) -> None:
    """CVE-2019-19921, CVE-2023-27561."""
    bundle = oci.bundle("true")
    (bundle.rootfs / name).rmdir()
    (bundle.rootfs / name).symlink_to("/tmp")
    assert "must be mounted on ordinary directory" in bundle.run(code=1).err


def test_a_tmpfs_has_the_mode_of_what_it_covers(oci: Oci) -> None:
    bundle = oci.bundle("stat", "-c", "%a", "/m")
    (bundle.rootfs / "m").mkdir()
    (bundle.rootfs / "m").chmod(0o712)
    entry = {"destination": "/m", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]}
    assert bundle.config(lambda config: config["mounts"].append(entry)).run().out == "712\n"


def test_tmpcopyup_begins_with_what_was_there(oci: Oci) -> None:
    """ "tmpcopyup: copy up the contents to a tmpfs": modes, links and owners with them."""
    bundle = oci.bundle("sh", "-c", "cd /m; cat d/f; readlink l; stat -c %a:%u:%g d/f; echo > new")
    (bundle.rootfs / "m/d").mkdir(parents=True)
    (bundle.rootfs / "m/d/f").write_text("text\n")
    os.chown(bundle.rootfs / "m/d/f", 33, 44)
    (bundle.rootfs / "m/d/f").chmod(0o4751)
    (bundle.rootfs / "m/l").symlink_to("nowhere")
    entry = {"destination": "/m", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}
    assert bundle.config(lambda config: config["mounts"].append(entry)).run().out == "text\nnowhere\n4751:33:44\n"
    assert not (bundle.rootfs / "m/new").exists()


def test_a_mount_has_mappings_of_its_own(oci: Oci, tmp_path: Path) -> None:
    """ "If uidMappings or gidMappings are specified for the mount, the runtime MUST use those values"."""
    (tmp_path / "file").write_text("")
    entry = {
        "destination": "/m",
        "source": str(tmp_path),
        "options": ["bind", "idmap"],
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
        "gidMappings": [{"containerID": 0, "hostID": 2000, "size": 10}],
    }
    assert mounted(oci, "stat", "-c", "%u:%g", "/m/file", mounts=[entry]) == "1000:2000\n"


@pytest.mark.parametrize("before", [False, True], ids=["in the root", "in an earlier mount"])
def test_a_source_in_the_root_is_mapped_for_a_user_namespace(oci: Oci, tmp_path: Path, before: bool) -> None:
    """ "idmap: Indicates that the mount MUST have an idmapping applied", also where the source is the container's."""
    if before and kernel() < (6, 15):
        pytest.skip("before Linux 6.15 what is mounted nowhere yet cannot be cloned")
    bundle = oci.bundle("sh", "-c", "stat -c %u:%g /m/file && touch /m/made")
    folder = tmp_path / "volume" if before else bundle.rootfs / "data"
    folder.mkdir()
    (folder / "file").write_text("")
    mapping = [{"containerID": 0, "hostID": 1_800_000, "size": 65536}]
    mounts = [{"destination": "/data", "source": str(folder), "options": ["bind"]}] if before else []
    mounts.append({"destination": "/m", "source": str(bundle.rootfs / "data"), "options": ["bind", "idmap"]})

    def change(config: dict[str, Any]) -> None:
        config["mounts"] += mounts
        config["linux"]["namespaces"].append({"type": "user"})
        config["linux"] |= {"uidMappings": mapping, "gidMappings": mapping}

    (bundle.rootfs / "m").mkdir()
    (bundle.rootfs / "data").mkdir(exist_ok=True)
    assert bundle.config(change).run().out == "0:0\n"
    assert (folder / "made").stat().st_uid == 0


def test_idmap_without_any_mappings_is_an_error(oci: Oci, tmp_path: Path) -> None:
    """ "If there are no uidMappings and gidMappings [...] and the container isn't using user namespaces, an error"."""
    bundle = oci.bundle("true")
    entry = {"destination": "/m", "source": str(tmp_path), "options": ["bind", "idmap"]}
    assert "mappings" in bundle.config(lambda config: config["mounts"].append(entry)).run(code=1).err


def test_any_filesystem_of_the_kernel(oci: Oci, tmp_path: Path) -> None:
    """ "Linux: filesystem types supported by the kernel as listed in /proc/filesystems"."""
    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "lower/file").write_text("below")
    options = [f"lowerdir={tmp_path}/lower", f"upperdir={tmp_path}/upper", f"workdir={tmp_path}/work"]
    entry = {"destination": "/m", "type": "overlay", "source": "overlay", "options": options}
    assert mounted(oci, "cat", "/m/file", mounts=[entry]) == "below"
    bundle = oci.bundle("true")
    entry = {"destination": "/m", "type": "nosuchfs", "source": "x"}
    assert "type 'nosuchfs'" in bundle.config(lambda config: config["mounts"].append(entry)).run(code=1).err


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A mount with another below it."""
    top = tmp_path / "tree"
    top.mkdir()
    for path in (top, top / "below"):
        path.mkdir(exist_ok=True)
        fd = sc.new_mount(b"tmpfs")
        sc.call("move_mount", fd, b"", sc.AT_FDCWD, os.fsencode(path), 0x04)
        os.close(fd)
    yield top
    sc.call("umount2", os.fsencode(top), sc.MNT_DETACH)


@pytest.mark.parametrize(("option", "below"), [("ro", "written"), ("rro", "Read-only file system")])
def test_rro_is_for_what_is_mounted_below_too(oci: Oci, tree: Path, option: str, below: str) -> None:
    script = "touch /m/x 2>&1; touch /m/below/x 2>&1 && echo written"
    entry = {"destination": "/m", "source": str(tree), "options": ["rbind", option]}
    top, under = mounted(oci, "sh", "-c", f"{script}; true", mounts=[entry]).splitlines()
    assert "Read-only file system" in top
    assert below in under


def test_a_read_only_root_has_writable_mounts(oci: Oci) -> None:
    """root.readonly: "If true then the root filesystem MUST be read-only inside the container"."""
    script = "touch /x 2>/dev/null || echo no; touch /m/x && echo yes"
    entry = {"destination": "/m", "type": "tmpfs", "source": "tmpfs"}
    assert mounted(oci, "sh", "-c", script, mounts=[entry], root={"readonly": True}) == "no\nyes\n"


def test_no_pivot_shows_no_more_of_the_machine(oci: Oci) -> None:
    bundle = oci.bundle("ls", "/")
    assert sorted(bundle.run("--no-pivot").out.split()) == sorted(os.listdir(bundle.rootfs))


def test_without_a_mount_namespace_the_cgroups_are_read_only_all_the_same(oci: Oci) -> None:
    """No mount of the machine's is changed: the fixture looks."""
    attachable("mount")
    bundle = oci.bundle("sh", "-c", "touch /sys/fs/cgroup/x 2>&1; ls /sys/fs/cgroup | wc -l")
    mount = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid"]}

    def change(config: dict[str, Any]) -> None:
        config["mounts"].append(mount)
        config["linux"]["namespaces"].remove({"type": "mount"})

    out = bundle.config(change).run().out
    assert "Read-only file system" in out
    assert int(out.split()[-1]) > 0


def test_idmap_spells_out_mappings(oci: Oci, tmp_path: Path) -> None:
    """crun(1): idmap=uids=ID-HOST-SIZE;gids=..., which podman hands on."""
    (tmp_path / "file").write_text("")
    options = ["bind", "idmap=uids=0-1000-10;gids=0-2000-10"]
    entry = {"destination": "/m", "source": str(tmp_path), "options": options}
    assert mounted(oci, "stat", "-c", "%u:%g", "/m/file", mounts=[entry]) == "1000:2000\n"


def test_sys_without_a_network_of_its_own(oci: Oci) -> None:
    """A user namespace may not mount sysfs for a network that it does not own: it gets the host's, to read."""
    kinds = [{"type": kind} for kind in (*NAMESPACES, "user") if kind != "network"]
    bundle = oci.bundle("sh", "-c", "ls /sys/class >/dev/null && grep ' /sys' /proc/self/mountinfo")
    bundle.config({"linux": {"namespaces": kinds, "maskedPaths": ["/sys/firmware"]}})
    lines = bundle.run().out.splitlines()
    assert lines
    assert all("ro" in line.split()[5].split(",") for line in lines)
    writable = [{**entry, "options": ["rw"]} if entry["type"] == "sysfs" else entry for entry in bundle.data["mounts"]]
    assert "/sys" in bundle.config({"mounts": writable}).run(code=1).err  # not the host's to write (CVE-2023-25809)
