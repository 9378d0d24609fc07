"""JavaScript's @kubernetes/client-node: informer, exec, log, apply by patch, watch, errors (client.mjs)."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

PACKAGE = "@kubernetes/client-node@1.4"
OLDEST = 18  # of node


@pytest.fixture(scope="module")
def modules() -> Path:
    """A directory with the package, kept for the next run; without node or a registry the test is skipped."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip(f"no node or no npm (install nodejs {OLDEST} or newer, and npm)")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < OLDEST:
        pytest.skip(f"node {version} is too old (install {OLDEST} or newer)")
    place = Path(tempfile.gettempdir()) / f"orch-e2e-client-node-{os.getuid()}"
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=place.parent) as fresh:
            words = [npm, "install", "--no-audit", "--no-fund", "--silent", "--prefix", f"{fresh}/made", PACKAGE]
            done = subprocess.run(words, capture_output=True, text=True, timeout=250)
            if done.returncode:
                pytest.skip(f"npm cannot install {PACKAGE}: {done.stderr.strip()[-200:]}")
            (Path(fresh) / "made").rename(place)
    return place


def test_client_node(config: Path, space: str, modules: Path, tmp_path: Path) -> None:
    script = tmp_path / "client.mjs"
    script.write_bytes((Path(__file__).parent / "client.mjs").read_bytes())
    (tmp_path / "node_modules").symlink_to(modules / "node_modules")  # modules are looked for beside the script
    words = ["node", "--preserve-symlinks", str(script), str(config), space]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "cached": 1,
        "exec": ["through", "complaint\n", "3"],
        "log": "hello\n",
        "manager": ["tests Apply"],
        "replicas": 0,
        "missing": 404,
        "told": ["Running", "deleted"],
    }
