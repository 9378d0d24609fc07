"""The stacks in manifests/ and what make stands on. No root, no daemon, nothing is installed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestr.cli import BAD_INPUT, OK

ROOT = Path(__file__).resolve().parents[1]
MANIFESTS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("manifests/**/*.yaml"))
REFUSED = {  # by the files alone; the other broken ones fail when they are applied
    "cycle.yaml": ["cycle.yaml:7:18: services.a.depends_on.b: services wait for each other: a -> b -> c -> a"],
    "port-twice.yaml": [
        "port-twice.yaml:11:13: services.second.ports[0]: port 8083/tcp is already published by service first"
    ],
    "unknown-field.yaml": [
        "unknown-field.yaml:7:5: services.web.enviroment: unknown key 'enviroment' (did you mean environment?)",
        "unknown-field.yaml:9:5: services.web.health_check: unknown key 'health_check' (did you mean healthcheck?)",
    ],
    "selector.yaml": ["selector.yaml:12:7: spec.template.metadata.labels: do not match the selector (app: web)"],
}
TARGETS = ("help", "install", "demo", "test", "lint", "bench", "clean")


def dry_run(file: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "orchestr.cli", "apply", "--dry-run=client", "-f", file]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("file", MANIFESTS)
def test_a_manifest_is_valid_or_refused_as_it_says(file: str) -> None:
    done = dry_run(file)
    expected = REFUSED.get(Path(file).name) if "/broken/" in file else None
    if expected is None:
        assert (done.returncode, done.stderr) == (OK, "")
        return
    assert done.returncode == BAD_INPUT
    assert done.stdout == ""
    said = done.stderr.strip().splitlines()
    assert len(said) == len(expected)
    for line, start in zip(said, expected, strict=True):
        assert line.startswith(f"manifests/broken/{start}")


@pytest.mark.parametrize("file", MANIFESTS)
def test_a_manifest_opens_with_what_it_shows(file: str) -> None:
    text = (ROOT / file).read_text()
    assert text.startswith("# ")
    assert re.search(r"^# (Shows: |Broken)", text, re.MULTILINE)


def test_every_broken_stack_that_is_refused_is_there() -> None:
    assert {f"manifests/broken/{name}" for name in REFUSED} <= set(MANIFESTS)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_in_the_help(target: str) -> None:
    help_ = subprocess.run(["make", "--silent", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^make {target}\s+\w", help_, re.MULTILINE)


def test_ci_runs_lint_and_test() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert "make lint test" in (ROOT / ".ci/run").read_text()


@pytest.mark.parametrize("script", sorted(ROOT.glob("scripts/*.sh")), ids=lambda script: script.name)
def test_shell_scripts_stop_at_the_first_error(script: Path) -> None:
    text = script.read_text()
    assert os.access(script, os.X_OK)
    assert "\nset -euo pipefail\n" in text
    assert "|| true" not in text
    subprocess.run(["bash", "-n", script], check=True)


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
