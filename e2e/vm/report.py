"""A plugin of the pytest that runs in the machine: a JSON line for each test, in the file that ORCH_VM_REPORT names.

{"test": "e2e/runtime/test_ids.py::test_one", "outcome": "passed" | "failed" | "skipped", "text": "why"}
"""

import json
import os

import pytest

REPORT = "ORCH_VM_REPORT"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test is told when it is called, or when its setup or its end has another result than that."""
    if report.when != "call" and report.outcome == "passed":
        return
    skip = report.longrepr  # (file, line, "Skipped: reason")
    text = skip[2].removeprefix("Skipped: ") if isinstance(skip, tuple) else report.longreprtext
    with open(os.environ[REPORT], "a", encoding="utf-8") as file:
        file.write(json.dumps({"test": report.nodeid, "outcome": report.outcome, "text": text}) + "\n")
