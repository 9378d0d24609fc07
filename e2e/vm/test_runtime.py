"""The whole of e2e/runtime on pure cgroup v2 and Linux 6.1: run once in the machine, told here test by test.

What is skipped there is skipped here, with the machine's own reason. ORCH_VM_ONLY=WORDS runs what pytest's -k takes.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

import pytest

from e2e.vm.image import PROJECT, VENV
from e2e.vm.machine import Machine
from e2e.vm.report import REPORT

SUITE = "e2e/runtime"
REPORTED, PRINTED = "/root/report.jsonl", "/root/pytest.txt"
WITHIN, EACH = 1700, 600  # seconds under emulation: for all of them, for one


class Told(NamedTuple):
    outcome: str
    text: str


def _chosen() -> list[str]:
    only = os.environ.get("ORCH_VM_ONLY")
    return [SUITE, *(("-k", only) if only else ())]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "test" in metafunc.fixturenames:
        metafunc.parametrize("test", _collected() if os.environ.get("ORCH_VM") == "1" else [SUITE])


def _collected() -> list[str]:
    """Here, for the tests are the same on every machine."""
    words = (sys.executable, "-m", "pytest", "--collect-only", "-q", *_chosen())
    listed = subprocess.run(words, cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if line.startswith(f"{SUITE}/")]


@pytest.fixture(scope="module")
def told(machine: Machine) -> Mapping[str, Told]:
    words = ("python3", "-m", "pytest", "-p", "e2e.vm.report", "-o", f"timeout={EACH}", *_chosen())
    done = machine.run(
        f"cd {VENV}/.. && {REPORT}={REPORTED} {shlex.join(words)} >{PRINTED} 2>&1; tail -1 {PRINTED}",
        timeout=WITHIN,
    )
    print(done.out)
    lines = [json.loads(line) for line in machine.sh(f"cat {REPORTED} || tail -50 {PRINTED} >&2").splitlines()]
    worst: dict[str, Told] = {}
    for line in lines:  # what its end says counts, unless it had failed before
        if worst.get(line["test"], Told("", "")).outcome != "failed":
            worst[line["test"]] = Told(line["outcome"], line["text"])
    return worst


def test_in_the_machine(told: Mapping[str, Told], test: str) -> None:
    assert test in told, f"it did not run; see {PRINTED} in the machine"
    outcome, text = told[test]
    if outcome == "skipped":
        pytest.skip(text)
    assert outcome == "passed", text
