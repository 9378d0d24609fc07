"""Whatever config.json says, reading and planning end with a plan or with one line of RuntimeFailure.

ORCH_FUZZ_EXAMPLES=100000 makes it a long run.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from orchestr.runtime import cgroups, seccomp
from orchestr.runtime.oci import plan
from orchestr.runtime.seam import RuntimeFailure
from tests.runtime.oci_configs import ALL

LONG = "ORCH_FUZZ_EXAMPLES" in os.environ  # others than ever before; else always the same
EXAMPLES = int(os.environ.get("ORCH_FUZZ_EXAMPLES", "150"))
EDGES = (0, 1, -1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30)
WORDS = (
    *("", "/", ".", "..", "/..", "a/../b", "//", "/proc/self/fd/0", "\0", "\ud800", "é", "x" * 5000, "%s", "-1", "ro"),
    *("bind", "idmap", "ridmap", "size=", "mode=9", "mode=0777777777777", "uid=x", "=", ",", "tmpfs", "cgroup", "proc"),
    *("/dev", "/proc", "/sys", "/dev/null", "rshared", "user", "mount", "time", "CAP_SYS_ADMIN", "RLIMIT_CPU", "1.9.9"),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.sampled_from(EDGES), st.sampled_from(WORDS), st.text(max_size=20), st.floats()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
)
# Properties that the base configurations do not have
MORE = {
    "/hooks": ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"),
    "/linux": (
        *(
            "timeOffsets",
            "devices",
            "netDevices",
            "sysctl",
            "seccomp",
            "rootfsPropagation",
            "maskedPaths",
            "mountLabel",
        ),
        *("readonlyPaths", "personality", "memoryPolicy", "intelRdt", "uidMappings", "gidMappings", "cgroupsPath"),
    ),
    "/process": (
        *("scheduler", "ioPriority", "execCPUAffinity", "apparmorProfile", "selinuxLabel", "rlimits", "consoleSize"),
        *("terminal", "user", "capabilities", "oomScoreAdj", "noNewPrivileges", "env"),
    ),
    "": ("hostname", "domainname", "annotations", "mounts", "hooks", "root", "process", "linux"),
}


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*at, key))


def inside(config: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        config = config[key]
    return config


def like(value: Any) -> st.SearchStrategy[Any]:
    """Of the same type, to come past the check of config.json."""
    if isinstance(value, bool):
        return st.booleans()
    if isinstance(value, int):
        return st.sampled_from(EDGES) | st.integers(0, 100)
    if isinstance(value, str):
        return st.sampled_from(WORDS) | st.text(max_size=20) | st.just(f"{value}x") | st.just(value.swapcase())
    if isinstance(value, list):
        return st.permutations(value).map(list) if value else st.just([])
    return st.just({})


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    found = deepcopy(draw(st.sampled_from(ALL))())
    for _ in range(draw(st.integers(1, 4))):
        how = draw(st.sampled_from(("set", "set", "drop", "twice", "add", "swap")))
        known = list(places(found))
        if not known:
            break
        *above, key = draw(st.sampled_from(known))
        parent = inside(found, tuple(above))
        if how == "set":
            parent[key] = draw(st.one_of(like(parent[key]), like(parent[key]), VALUES))
        elif how == "drop":
            del parent[key]
        elif how == "twice" and isinstance(parent, list):
            parent.append(deepcopy(parent[key]))
        elif how == "swap":
            parent[key] = deepcopy(inside(found, draw(st.sampled_from(known))))
        else:
            pointer = draw(st.sampled_from(sorted(MORE)))
            target = found
            for name in pointer.split("/")[1:]:
                target = target.setdefault(name, {}) if isinstance(target, dict) else None
            if isinstance(target, dict):
                target[draw(st.sampled_from(MORE[pointer]))] = draw(VALUES)
    return found


@pytest.fixture(scope="module")
def bundle() -> Iterator[Path]:
    before = cgroups.layout()
    cgroups.use(cgroups.Layout("/sys/fs/cgroup", frozenset({"cpu", "memory", "pids"}), {}))
    with tempfile.TemporaryDirectory() as path:
        os.mkdir(f"{path}/rootfs")
        yield Path(path)
    cgroups.use(before)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=not LONG, suppress_health_check=list(HealthCheck))
@given(mutated())
def test_any_configuration_is_planned_or_refused_in_one_line(bundle: Path, config: Any) -> None:
    (bundle / "config.json").write_text(json.dumps(config))
    before = os.listdir("/proc/self/fd")
    said = outcome(bundle)
    event(said.partition(":")[0][:40])
    assert said == "planned" or (said.startswith("cannot ") and "\n" not in said)
    assert os.listdir("/proc/self/fd") == before
    assert sorted(os.listdir(bundle)) == ["config.json", "rootfs"]
    assert not os.listdir(bundle / "rootfs")


def outcome(bundle: Path) -> str:
    try:
        assert plan.text(plan.of(str(bundle), "c1"))
        return "planned"
    except RuntimeFailure as error:
        return str(error)
    finally:
        seccomp._compiled.clear()
