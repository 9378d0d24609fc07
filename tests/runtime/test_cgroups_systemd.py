"""The systemd driver: names and properties are pure, the calls are seen on a bus."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestr.runtime import cgroups
from orchestr.runtime.cgroups.layout import Layout
from orchestr.runtime.cgroups.properties import INFINITY, mask, of_annotations, of_resources, variant
from orchestr.runtime.cgroups.systemd import Unit, unit_of
from orchestr.runtime.seam import RuntimeFailure
from tests.runtime.fakebus import FakeBus


@pytest.mark.parametrize(
    ("text", "unit", "path"),
    [
        ("machine.slice:docker:ab", Unit("machine.slice", "docker-ab.scope"), "machine.slice/docker-ab.scope"),
        (":docker:ab", Unit("system.slice", "docker-ab.scope"), "system.slice/docker-ab.scope"),
        ("a-b-c.slice::x", Unit("a-b-c.slice", "x.scope"), "a.slice/a-b.slice/a-b-c.slice/x.scope"),
        ("-.slice:p:x", Unit("-.slice", "p-x.scope"), "p-x.scope"),
        ("kube.slice:p:pod.slice", Unit("kube.slice", "pod.slice"), "kube.slice/pod.slice"),
        ("", Unit("system.slice", "orch-oci-c1.scope"), "system.slice/orch-oci-c1.scope"),
    ],
)
def test_the_path_of_a_unit(text: str, unit: Unit, path: str) -> None:
    assert (unit_of(text, "c1"), unit.path) == (unit, path)
    assert cgroups.place_of(text, "c1", manager="systemd") == path


@pytest.mark.parametrize("text", ["/a/b", "a:b", "a.slice:b:", "a.scope:b:c", "a--b.slice:p:x", "a/b.slice:p:x"])
def test_a_path_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(RuntimeFailure, match="/linux/cgroupsPath"):
        unit_of(text, "c1")


def test_limits_as_properties_of_v2() -> None:
    found = dict(
        of_resources(
            {
                "memory": {"limit": 100, "swap": 150, "reservation": -1},
                "cpu": {"shares": 1024, "quota": 12345, "period": 100000, "cpus": "0-2,9"},
                "pids": {"limit": 0},
            },
            v2=True,
        )
    )
    assert found == {
        "MemoryMax": ("t", 100),
        "MemorySwapMax": ("t", 50),
        "MemoryLow": ("t", INFINITY),
        "CPUWeight": ("t", 100),
        "CPUQuotaPeriodUSec": ("t", 100000),
        "CPUQuotaPerSecUSec": ("t", 130000),
        "AllowedCPUs": ("ay", b"\x07\x02"),
        "TasksMax": ("t", 1),
    }


def test_limits_as_properties_of_v1() -> None:
    resources = {"memory": {"limit": 100, "swap": 150}, "cpu": {"shares": 512, "quota": -1}, "pids": {"limit": -1}}
    assert dict(of_resources(resources, v2=False)) == {
        "MemoryLimit": ("t", 100),
        "CPUShares": ("t", 512),
        "CPUQuotaPerSecUSec": ("t", INFINITY),
        "TasksMax": ("t", INFINITY),
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", ("b", True)),
        ("-5", ("i", -5)),
        ("uint64 5", ("t", 5)),
        ("1.5", ("d", 1.5)),
        ("'it\\'s'", ("s", "it's")),
        ("objectpath '/a'", ("o", "/a")),
        ("['a', \"b,c\"]", ("as", ["a", "b,c"])),
        ("[uint32 1, uint32 2]", ("au", [1, 2])),
    ],
)
def test_values_of_annotations(text: str, value: tuple[str, Any]) -> None:
    assert variant(text) == value


def test_annotations_become_properties() -> None:
    given = {"org.systemd.property.TimeoutStopSec": "1.5", "org.systemd.property.After": "['a.service']", "other": "x"}
    assert dict(of_annotations(given)) == {"TimeoutStopUSec": ("t", 1_500_000), "After": ("as", ["a.service"])}
    for key, text in (("TimeoutStopSec", "x"), ("no!", "1"), ("After", "[1, 'a']")):
        with pytest.raises(RuntimeFailure, match=r"annotation org\.systemd\.property\."):
            list(of_annotations({f"org.systemd.property.{key}": text}))


def test_a_mask_of_cpus() -> None:
    assert (mask("0"), mask("8"), mask("0-15")) == (b"\x01", b"\x00\x01", b"\xff\xff")


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[str, Any], str]], FakeBus]]:
    """A v2 tree below tmp_path/cgroup, and a bus that `act` makes behave."""
    root = tmp_path / "cgroup"
    root.mkdir()
    cgroups.use(Layout(str(root), frozenset({"pids"}), {}))
    made = list[FakeBus]()

    def start(act: Callable[[str, Any], str]) -> FakeBus:
        made.append(FakeBus(tmp_path / "bus", act))
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made[0].address)
        return made[0]

    yield start
    for each in made:
        each.close()
    cgroups.use(None)


CONFIG = {"linux": {"resources": {"pids": {"limit": 7}}}}
PATH = "machine.slice/p-c1.scope"


def tree(root: Path) -> Path:
    scope = root / PATH
    scope.mkdir(parents=True)
    for directory in (root, root / "machine.slice", scope):
        (directory / "cgroup.subtree_control").write_text("")
        (directory / "cgroup.controllers").write_text("pids")
        (directory / "cgroup.procs").write_text("")
        (directory / "pids.max").write_text("")
    return scope


def test_a_scope_is_held_until_the_container_is_in_it(
    bus: Callable[..., FakeBus], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = list[int]()

    def act(method: str, body: Any) -> str:
        if method == "StartTransientUnit":
            tree(tmp_path / "cgroup")
            held.extend(dict(body[2])["PIDs"][1])
        return "done"

    fake = bus(act)
    with cgroups.placed(CONFIG, PATH, manager="systemd"):
        assert Path(f"/proc/{held[0]}").exists()
    assert not Path(f"/proc/{held[0]}").exists()
    assert (tmp_path / "cgroup" / PATH / "pids.max").read_text() == "7"
    (start,) = (body for method, body in fake.calls if method == "StartTransientUnit")
    assert start[0] == "p-c1.scope"
    wanted = {"Slice": ("s", "machine.slice"), "Delegate": ("b", True), "TasksMax": ("t", 7)}
    assert wanted.items() <= dict(start[2]).items()

    monkeypatch.setattr(os, "getxattr", lambda path, name: b"p-c1.scope")  # not every filesystem of tests has them
    cgroups.update(PATH, {"pids": {"limit": 9}})
    assert ("SetUnitProperties", ("p-c1.scope", True, [("TasksMax", ("t", 9))])) in fake.calls


def test_a_job_that_fails_is_an_error_with_nothing_left(bus: Callable[..., FakeBus]) -> None:
    bus(lambda method, body: "failed")
    with pytest.raises(RuntimeFailure, match="job ended as failed"), cgroups.placed(CONFIG, PATH, manager="systemd"):
        raise AssertionError


def test_a_unit_that_is_gone_is_stopped(bus: Callable[..., FakeBus], monkeypatch: pytest.MonkeyPatch) -> None:
    fake = bus(lambda method, body: "org.freedesktop.systemd1.NoSuchUnit")
    monkeypatch.setattr(os, "getxattr", lambda path, name: b"p-c1.scope")
    cgroups.remove(PATH)
    assert [method for method, _ in fake.calls] == ["Subscribe", "StopUnit"]


def test_without_systemd_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    with (
        pytest.raises(RuntimeFailure, match="cannot use systemd: no system bus"),
        cgroups.placed({}, PATH, manager="systemd"),
    ):
        raise AssertionError
