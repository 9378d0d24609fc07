"""The project as a tar that the machine unpacks at each start: sources, and what pip would have written for them."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from e2e.vm.image import PROJECT, PYTHON, VENV, project

PARTS = ("orchestr", "controllers", "e2e", "manifests", "pyproject.toml")


def source(target: Path) -> None:
    with tarfile.open(target, "w") as tar:
        for name in PARTS:
            tar.add(PROJECT / name, name, filter=_wanted)
        tar.add(PROJECT / "scripts/orch-oci", f"{VENV.removeprefix('/opt/orch/')}/bin/orch-oci", filter=_wanted)
        for name, text in _installed():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o755
            tar.addfile(info, io.BytesIO(text.encode()))


def _wanted(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    info.uid = info.gid = 0
    return None if info.name == "e2e/failures" else info


def _installed() -> Iterator[tuple[str, str]]:
    """What pip would write for the project: its metadata, and a script for each command."""
    found = project()
    place = f"{VENV.removeprefix('/opt/orch/')}/lib/python{PYTHON}/site-packages/orchestr-{found['version']}.dist-info"
    yield f"{place}/METADATA", f"Metadata-Version: 2.1\nName: orchestr\nVersion: {found['version']}\n"
    groups: dict[str, dict[str, str]] = dict(found["entry-points"])
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups.items()]
    yield f"{place}/entry_points.txt", "\n".join(lines)
    scripts: dict[str, str] = found["scripts"]
    for command, target in scripts.items():
        module, function = target.split(":")
        text = f"#!{VENV}/bin/python3\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
        yield f"{VENV.removeprefix('/opt/orch/')}/bin/{command}", text
