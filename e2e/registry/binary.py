"""Debian's docker-registry: the installed one, or its package unpacked into a folder, so that no service starts."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

PLACE = Path("/var/tmp/orch-e2e-registry")


@cache
def registry() -> Path:
    if found := shutil.which("docker-registry"):
        return Path(found)
    program = PLACE / "usr/bin/docker-registry"
    if not program.exists():
        PLACE.mkdir(parents=True, exist_ok=True)
        for words in (["apt-get", "update"], ["apt-get", "download", "docker-registry"]):
            subprocess.run(words, cwd=PLACE, check=True, capture_output=True)
        (package,) = PLACE.glob("docker-registry_*.deb")
        unpacked = PLACE / "unpacked"
        subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True, capture_output=True)
        (unpacked / "usr").rename(PLACE / "usr")  # whole at once: another run may look at the same time
        shutil.rmtree(unpacked)
        package.unlink()
    return program
