"""What `features` says is what the code's tables say, and what config.json may hold; see features.md of the spec."""

import json
from pathlib import Path
from typing import Any

import pytest

from orchestr.runtime import capabilities, memorypolicy, mountopts, seccomp, seccomp_compile
from orchestr.runtime.cgroups import limits
from orchestr.runtime.oci import bundle, config, features, namespaces

FOUND: dict[str, Any] = features.described()
LINUX = FOUND["linux"]


def accepted(folder: Path, more: dict[str, Any]) -> None:
    """RuntimeFailure when it is not."""
    (folder / "rootfs").mkdir(exist_ok=True)
    process = {"args": ["x"], "cwd": "/"}
    data = {"ociVersion": FOUND["ociVersionMax"], "root": {"path": "rootfs"}, "process": process, **more}
    (folder / "config.json").write_text(json.dumps(data))
    config.read(str(folder))


def test_versions_are_accepted(tmp_path: Path) -> None:
    """ "The runtime MUST accept this value as the `ociVersion` property of `config.json`"."""
    for key in ("ociVersionMin", "ociVersionMax"):
        accepted(tmp_path, {"ociVersion": FOUND[key]})


def test_every_mount_option_is_read() -> None:
    """ "The runtime MUST recognize the elements in this array as the `options` of `mounts` objects"."""
    for option in FOUND["mountOptions"]:
        mountopts.parse([option], "tmpfs" if option == "tmpcopyup" else "bind", "/x")
    tables = {*mountopts._ATTRS, *mountopts._PROPAGATION, *mountopts._NOTHING, *mountopts._SUPERBLOCK}
    assert {*tables, *mountopts._SWITCHES} <= set(FOUND["mountOptions"])
    assert {"rro", "rslave", "ridmap", "tmpcopyup", "copy-symlink", "src-nofollow"} <= set(FOUND["mountOptions"])


def test_tables() -> None:
    assert set(LINUX["namespaces"]) == set(namespaces.FLAGS)
    assert LINUX["capabilities"] == list(capabilities.BITS)
    assert set(LINUX["seccomp"]["actions"]) == set(seccomp_compile.ACTIONS)
    assert set(LINUX["seccomp"]["supportedFlags"]) == set(seccomp._FLAGS)
    assert "SCMP_ARCH_X86_64" in LINUX["seccomp"]["archs"]
    assert LINUX["cgroup"]["rdma"] == ("rdma" in {each.name for each in limits.CONTROLLERS})
    assert FOUND["potentiallyUnsafeConfigAnnotations"] == [bundle.STRICT_CALLS, "org.systemd.property."]


@pytest.mark.parametrize(
    "linux",
    [
        *({"namespaces": [{"type": kind}]} for kind in LINUX["namespaces"]),
        *({"memoryPolicy": {"mode": mode, "nodes": "0"}} for mode in LINUX["memoryPolicy"]["modes"]),
        {"memoryPolicy": {"mode": "MPOL_BIND", "flags": LINUX["memoryPolicy"]["flags"]}},
        {"netDevices": {"eth0": {}}},
    ],
    ids=str,
)
def test_what_is_named_may_be_in_config_json(tmp_path: Path, linux: dict[str, Any]) -> None:
    accepted(tmp_path, {"linux": linux})


def test_hooks_are_those_of_config_json(tmp_path: Path) -> None:
    accepted(tmp_path, {"hooks": {point: [{"path": "/x"}] for point in FOUND["hooks"]}})


def test_memory_policies_are_those_that_are_set() -> None:
    assert set(LINUX["memoryPolicy"]["modes"]) == set(memorypolicy.MODES)
    assert set(LINUX["memoryPolicy"]["flags"]) == set(memorypolicy.FLAGS)
