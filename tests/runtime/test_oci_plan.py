"""`orch-oci plan`: the launch of a bundle as text, compared with golden/*.txt.

After an intended change: ORCH_GOLDEN=write pytest tests/runtime/test_oci_plan.py, and read the difference.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestr.runtime import cgroups
from orchestr.runtime.oci import plan
from orchestr.runtime.seam import RuntimeFailure
from tests.runtime.oci_configs import ALL, docker, minimal

GOLDEN = Path(__file__).parent / "golden"
V2 = cgroups.Layout("/sys/fs/cgroup", frozenset({"cpu", "cpuset", "io", "memory", "pids"}), {})


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Path]:
    before = cgroups.layout()
    cgroups.use(V2)
    (tmp_path / "rootfs").mkdir()
    yield tmp_path
    cgroups.use(before)


def planned(bundle: Path, found: dict[str, Any]) -> plan.Plan:
    (bundle / "config.json").write_text(json.dumps(found))
    return plan.of(str(bundle), "c1")


@pytest.mark.parametrize("make", ALL)
def test_the_plan_of_a_bundle_is_the_golden_one(bundle: Path, make: Any) -> None:
    text = plan.text(planned(bundle, make())).replace(str(bundle), "/bundle")
    path = GOLDEN / f"{make.__name__}.txt"
    if os.environ.get("ORCH_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


def test_the_same_as_json(bundle: Path) -> None:
    (parent, *children) = json.loads(json.dumps(plan.data(planned(bundle, minimal()))))
    assert parent["calls"][0]["call"] == "open_tree"
    assert parent["calls"][0]["args"][1] == f'"{bundle}/rootfs"'
    assert children[-1]["calls"][-1] == {
        "call": "execve",
        "args": ['"/bin/true"', '["/bin/true"]'],
        "what": "run",
        "where": "'/bin/true'",
    }


def test_planning_changes_nothing_and_leaves_no_descriptor(bundle: Path) -> None:
    planned(bundle, docker())
    before = sorted(os.listdir("/proc/self/fd")), sorted(os.listdir("/proc/self/task")), os.listdir(bundle / "rootfs")
    planned(bundle, docker())
    assert (
        sorted(os.listdir("/proc/self/fd")),
        sorted(os.listdir("/proc/self/task")),
        os.listdir(bundle / "rootfs"),
    ) == before


def test_what_create_would_refuse_is_refused(bundle: Path) -> None:
    found = minimal()
    found["process"]["args"] = []
    with pytest.raises(RuntimeFailure, match="/process/args: must not be empty"):
        planned(bundle, found)
