"""oci/config.py: each type and range of the specification's schema, and the one line that names a fault."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from orchestr.runtime import seccomp_profile
from orchestr.runtime.oci import config
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.spec import default_spec


def whole() -> dict[str, Any]:
    found = default_spec(["true"], ["A=b"], rlimits=[{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 2**64 - 1}])
    found["root"] = {"path": "rootfs"}
    found["linux"]["seccomp"] = seccomp_profile.default(())
    found["linux"]["namespaces"] = [{"type": "pid"}, {"type": "network", "path": "/run/netns/x"}]
    found["linux"]["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    found["linux"]["resources"].update(memory={"limit": -1}, hugepageLimits=[{"pageSize": "2MB", "limit": 0}])
    found["hooks"] = {"poststop": [{"path": "/bin/true", "timeout": 3}]}
    return found


def read(tmp_path: Path, text: str) -> dict[str, Any]:
    (tmp_path / "rootfs").mkdir(exist_ok=True)
    (tmp_path / "config.json").write_text(text)
    return config.read(str(tmp_path))


def changed(pointer: str, value: Any) -> dict[str, Any]:
    found = deepcopy(whole())
    *parents, last = pointer.split("/")[1:]
    at: Any = found
    for key in parents:
        at = at[int(key)] if isinstance(at, list) else at.setdefault(key, {})
    at[int(last) if isinstance(at, list) else last] = value
    return found


def test_a_whole_configuration_is_read_as_it_is(tmp_path: Path) -> None:
    assert read(tmp_path, json.dumps(whole())) == whole()


@pytest.mark.parametrize(
    ("pointer", "value", "told"),
    [
        ("/process/user/uid", "x", 'must be a number from 0 to 4294967295, is "x"'),
        ("/process/user/uid", 2**32, "must be a number from 0 to 4294967295, is 4294967296"),
        ("/process/user/uid", True, "must be a number from 0 to 4294967295, is true"),
        ("/process/user/gid", -1, "must be a number from 0 to 4294967295, is -1"),
        ("/process/user/additionalGids", [1, 1.5], "/process/user/additionalGids/1: must be a number"),
        ("/process/args", [], "must not be empty"),
        ("/process/args", None, "is missing (add it)"),
        ("/process/args", ["a", 3], "/process/args/1: must be a string, is 3"),
        ("/process/cwd", "tmp", 'must be an absolute path, is "tmp"'),
        ("/process/env", ["A=\0"], "/process/env/0: must not have a NUL in it"),
        ("/process/env", ["A=\ud800"], "/process/env/0: must be Unicode text"),
        ("/process/oomScoreAdj", 1001, "must be a number from -1000 to 1000"),
        ("/process/consoleSize", {"height": 70000, "width": 1}, "/process/consoleSize/height: must be a number"),
        ("/process/rlimits/0/type", "RLIMIT_NOFILES", "did you mean RLIMIT_NOFILE?"),
        ("/process/noNewPrivileges", "yes", 'must be true or false, is "yes"'),
        ("/root", None, "is missing"),
        ("/root/path", "nothing", "must be a directory"),
        ("/root/path", "", "must not be empty"),
        ("/mounts/0/destination", None, "is missing"),
        ("/mounts/1/options", "ro", 'must be an array, is "ro"'),
        ("/annotations", {"": "x"}, "/annotations/: must not have an empty key"),
        ("/annotations", {"a/b~c": 1}, "/annotations/a~1b~0c: must be a string, is 1"),
        ("/hooks/poststop/0/path", "true", "must be an absolute path"),
        ("/hooks/poststop/0/timeout", 0, "must be a number from 1"),
        ("/linux/namespaces/0/type", "pids", "did you mean pid?"),
        ("/linux/namespaces/1/type", "pid", '/linux/namespaces/1/type: is there twice: "pid"'),
        ("/linux/uidMappings/0/size", 0, "must be a number from 1 to 4294967295"),
        ("/linux/resources/memory/limit", 2**63, "must be a number from -9223372036854775808"),
        ("/linux/resources/hugepageLimits/0/pageSize", "2mb", "must be a size such as 2MB"),
        ("/linux/rootfsPropagation", "Slave", "did you mean slave?"),
        ("/linux/seccomp/defaultAction", "allow", "must be one of SCMP_ACT_KILL"),
        ("/linux/seccomp/syscalls/0/names", [], "must not be empty"),
        ("/linux/seccomp/syscalls/1/args/0/op", "SCMP_CMP_EQUAL", "did you mean SCMP_CMP_EQ?"),
        ("/linux/seccomp/syscalls/1/args/0/index", 6, "must be a number from 0 to 5"),
        ("/linux/seccomp/listenerMetadata", "x", "must not be there without listenerPath"),
        ("/ociVersion", "2.0.0", 'must be a version 1.x.y of the specification, is "2.0.0"'),
        ("/ociVersion", "1.2", 'must be a version 1.x.y of the specification, is "1.2"'),
        ("/ociVersion", "1.02.0", "must be a version"),
        ("/ociVersion", "", "must be a version"),
    ],
)
def test_a_fault_is_one_line_with_its_pointer(tmp_path: Path, pointer: str, value: Any, told: str) -> None:
    with pytest.raises(RuntimeFailure) as caught:
        read(tmp_path, json.dumps(changed(pointer, value)))
    line = str(caught.value)
    assert line.startswith(f"cannot use {tmp_path}/config.json: {pointer}")
    assert told in line
    assert "\n" not in line


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.3.0+build.5", "1.2.0-rc.1+x"])
def test_versions_of_this_major_are_read(tmp_path: Path, version: str) -> None:
    """spec.md: any runtime compliant with a 1.y version accepts what complies with it."""
    assert read(tmp_path, json.dumps(changed("/ociVersion", version)))["ociVersion"] == version


def test_unknown_properties_are_ignored(tmp_path: Path) -> None:
    """config.md "Extensibility": runtimes MUST ignore unknown properties."""
    assert read(tmp_path, json.dumps(changed("/linux/resources/cpu/shiny", {"a": [1.5, None]})))


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100000, "1", '"x"', "[]", '{"ociVersion": 1' + "0" * 5000 + "}", "\xff"]
)
def test_what_is_no_configuration_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(RuntimeFailure, match=r"^cannot (read|use) [^\n]*$"):
        read(tmp_path, text)


def test_a_bundle_without_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match="No such file or directory"):
        config.read(str(tmp_path))


def test_a_process_and_resources_alone() -> None:
    config.check_process({"cwd": "/", "args": ["true"]})
    config.check_resources({"pids": {"limit": 5}})
    with pytest.raises(RuntimeFailure, match="cannot use the process: /cwd: is missing"):
        config.check_process({"args": ["true"]}, "the process")
    with pytest.raises(RuntimeFailure, match=r"cannot use x.json: /cpu/shares: must be a number"):
        config.check_resources({"cpu": {"shares": "1"}}, "x.json")
