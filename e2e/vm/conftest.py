"""A virtual machine with systemd, pure cgroup v2 and the oldest kernel that orch runs on; one for the whole run.

Only with ORCH_VM=1: it takes some minutes. ORCH_VM_KEEP=DIR keeps disk and console there.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.vm.image import Image, Unusable, built
from e2e.vm.machine import Machine

HERE = Path(__file__).parent
LONG = 1800  # seconds; everything is emulated


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and "machine" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.vm)
            item.add_marker(pytest.mark.timeout(LONG))
            if os.environ.get("ORCH_VM") != "1":
                item.add_marker(pytest.mark.skip("takes some minutes (set ORCH_VM=1, or run make vm)"))


@pytest.fixture(scope="session")
def image() -> Image:
    if os.geteuid() != 0:
        pytest.skip("needs root to make the machine's disk")
    try:
        return built()
    except Unusable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def machine(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    keep = os.environ.get("ORCH_VM_KEEP")
    machine = Machine(image, Path(keep) if keep else tmp_path_factory.mktemp("vm"))
    try:
        print(f"booted in {machine.start():.0f} s")
        yield machine
    finally:
        machine.end()
