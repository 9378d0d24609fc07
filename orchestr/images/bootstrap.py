"""Images made here from Debian packages by mmdebstrap(1): what LXC's templates did.

mmdebstrap resolves, verifies and installs; it writes one archive, which becomes the image's only layer. Device nodes
are left out (a container has a /dev of its own), documentation too. Progress comes as it happens: one line a stage.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from subprocess import DEVNULL, PIPE
from typing import Any

import trio

from orchestr.images.manifest import LAYER
from orchestr.images.reference import parse
from orchestr.images.seam import ImageError
from orchestr.images.store import ARCH, Images

SUITE = re.compile(r"[a-z][a-z0-9.-]{0,63}")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?:[:=/][A-Za-z0-9.+:~-]+)?")
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*")
KEPT = ("/usr/share/doc/*/copyright",)
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STAGE = re.compile(r"I: (.*)")


def command(suite: str, packages: Sequence[str], target: str) -> list[str]:
    """The call of mmdebstrap. Raises ImageError for a word that is no suite or package."""
    if not SUITE.fullmatch(suite):
        raise ImageError(f"cannot bootstrap: {suite!r} is no suite (write bookworm, trixie or another release's name)")
    for package in packages:
        if not PACKAGE.fullmatch(package):
            raise ImageError(f"cannot bootstrap: {package!r} is no package name (see apt-cache search)")
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    options += [f"--dpkgopt=path-include={pattern}" for pattern in KEPT]
    include = [f"--include={','.join(packages)}"] if packages else []
    return ["mmdebstrap", "--mode=root", "--variant=apt", "--format=tar", "--skip=output/dev", "--verbose",
            *options, *include, "--", suite, target]  # fmt: skip


async def bootstrap(
    images: Images, name: str, suite: str, packages: Sequence[str], clock: Callable[[], datetime]
) -> AsyncIterator[Mapping[str, Any]]:
    """Yields {"stage": text} and last {"image": digest, "name": reference}. Raises ImageError."""
    reference = str(parse(name))
    if shutil.which("mmdebstrap") is None:
        raise ImageError("cannot bootstrap: mmdebstrap is not installed (apt-get install mmdebstrap)")
    folder = tempfile.mkdtemp(dir=images.root, prefix=".bootstrap-")
    try:
        layer = os.path.join(folder, "layer.tar")
        async with _running(command(suite, packages, layer)) as lines:
            async for line in lines:
                yield {"stage": line}
        yield {"stage": "storing the image"}
        config = configuration(await trio.to_thread.run_sync(_digest, layer), clock(), suite, packages)
        image = await trio.to_thread.run_sync(images.add_image, reference, config, layer, LAYER)
        yield {"image": image.digest, "name": reference}
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))


@asynccontextmanager
async def _running(words: Sequence[str]) -> AsyncIterator[AsyncIterator[str]]:
    environment = {key: value for key, value in os.environ.items() if key in ("PATH", "http_proxy", "https_proxy")}
    process = await trio.lowlevel.open_process(words, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, env=environment)
    said: list[str] = []
    try:
        yield _stages(process, said)
        if await process.wait():
            why = "; ".join(line for line in said if line.startswith(("E:", "W:"))) or "; ".join(said[-3:])
            raise ImageError(f"cannot bootstrap: mmdebstrap failed: {why[:1000]} (check suite and package names)")
    finally:
        if process.returncode is None:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


async def _stages(process: trio.Process, said: list[str]) -> AsyncIterator[str]:
    assert process.stderr is not None
    pending = b""
    async for chunk in process.stderr:
        *lines, pending = (pending + chunk).split(b"\n")
        for raw in lines:
            line = raw.decode(errors="replace").rsplit("\r", 1)[-1].strip()
            if line:
                said.append(line)
                del said[:-50]
            stage = STAGE.match(line)
            if stage:
                yield stage.group(1)


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def configuration(diff_id: str, created: datetime, suite: str, packages: Sequence[str]) -> dict[str, Any]:
    """The OCI image configuration of a bootstrapped image."""
    stamp = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    what = f"debian {suite}" + (f" with {' '.join(packages)}" if packages else "")
    return {
        "architecture": ARCH,
        "os": "linux",
        "created": stamp,
        "config": {"Env": [PATH], "Cmd": ["/bin/sh"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": stamp, "created_by": f"orch image bootstrap: {what}"}],
    }
