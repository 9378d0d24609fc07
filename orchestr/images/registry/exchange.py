"""The daemon's side of registries: one worker process for each image on its way, layers unpacked as they come.

Two who want the same image wait for the same worker. When the daemon ends the workers end with it; what has come stays
for the next try.
"""

import json
import os
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from subprocess import PIPE
from typing import Any, Final

import trio

from orchestr.images.layers import FULL
from orchestr.images.reference import Place, Reference, parse, place
from orchestr.images.registry import credentials
from orchestr.images.registry.settings import Registries
from orchestr.images.seam import Image, ImageCorrupt, ImageError, Logins, Progress, RegistryFailure
from orchestr.images.store import ARCH, LOCAL, Images

_KEPT: Final = ("PATH", "HOME", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
                "SSL_CERT_FILE", "SSL_CERT_DIR")  # fmt: skip


@dataclass(slots=True)
class _Way:
    """An image on its way."""

    over: trio.Event = field(default_factory=trio.Event)
    listeners: list[Progress] = field(default_factory=list)
    image: Image | None = None
    failure: ImageError | None = None

    def tell(self, line: Mapping[str, Any]) -> None:
        for listener in self.listeners:
            listener(line)


class Exchange:
    """Pulls and pushes. ImageError, RegistryFailure."""

    def __init__(self, images: Images, settings: Callable[[], Registries]) -> None:
        """`settings` is asked each time, so that a changed file counts at once."""
        self._images, self._settings = images, settings
        self.crowded: Callable[[], None] = lambda: None  # called when the disk was found full
        self._ways: dict[object, _Way] = {}

    async def pull(self, reference: str, logins: Logins = (), progress: Progress = lambda line: None) -> Image:
        wanted = parse(reference)
        request = await trio.to_thread.run_sync(self._request, "pull", wanted, logins)
        key = json.dumps([str(wanted), request["credentials"]])
        while (way := self._ways.get(key)) is not None:
            way.listeners.append(progress)
            await way.over.wait()
            if way.failure:
                raise way.failure
            if way.image:
                return way.image
        way = self._ways[key] = _Way(listeners=[progress])
        try:
            way.image = await self._pull(wanted, request, way)
            return way.image
        except ImageError as failure:
            way.failure = failure
            if getattr(failure, "kind", "") == "full":
                self.crowded()
            raise
        finally:
            del self._ways[key]
            way.over.set()

    async def push(self, reference: str, logins: Logins = (), progress: Progress = lambda line: None) -> str:
        """The digest under which it is there."""
        wanted = parse(reference)
        image = await trio.to_thread.run_sync(self._images.resolve, reference)
        if image.binds:
            raise ImageError(f"cannot push {reference}: it is this machine itself")
        request = await trio.to_thread.run_sync(self._request, "push", wanted, logins)
        request["known"] = image.digest
        request["sources"] = await trio.to_thread.run_sync(self._sources, image, place(wanted, self._images.default))
        last: Mapping[str, Any] = {}
        with self._images.at_work():
            async with aclosing(_worker(request)) as lines:
                async for line in lines:
                    last = line
                    progress(line)
        return str(_outcome(last)["digest"])

    def _sources(self, image: Image, there: Place) -> dict[str, str]:
        """Layers of `image` -> another repository of its registry that has them, by the names of what is here."""
        found: dict[str, str] = {}
        for other in self._images.list():
            places = [place(parse(name), self._images.default) for name in other.names if not name.startswith(LOCAL)]
            near = [each.repository for each in places if each.host == there.host]
            if source := next((each for each in near if each != there.repository), ""):
                found |= dict.fromkeys(set(other.layers) & set(image.layers), source)
        return found

    def _request(self, verb: str, wanted: Reference, logins: Logins) -> dict[str, Any]:
        if wanted.name.startswith(LOCAL):
            raise ImageError(f"cannot {verb} {wanted}: names below {LOCAL} are of this machine alone (orch image tag)")
        settings = self._settings()
        self._images.default = settings.default
        there = place(wanted, settings.default)
        ours = next((f for each in logins if (f := credentials.find(each, there.host, there.repository, None))), None)
        if ours is None:
            own = credentials.read(credentials.file())
            ours = credentials.find(own, there.host, there.repository)
        servers = settings.servers(there.host)
        endpoints = settings.mirrors(there.host) + servers if verb == "pull" else servers
        return {
            "verb": verb,
            "place": list(there),
            "endpoints": [list(each) for each in endpoints],
            "trusted": [each.url for each in servers],
            "credentials": list(ours) if ours else None,
            "root": self._images.root,
            "arch": ARCH,
            "known": self._images.pulled(str(wanted)),
        }

    async def _pull(self, wanted: Reference, request: Mapping[str, Any], way: _Way) -> Image:
        last: Mapping[str, Any] = {}
        config, order = "", dict[str, list[int]]()
        with self._images.at_work():
            async with trio.open_nursery() as nursery, aclosing(_worker(request)) as lines:
                unpacking = trio.CapacityLimiter(2)
                async for line in lines:
                    last = line
                    if "config" in line:
                        config = line["config"]
                        for index, (digest, _) in enumerate(line["layers"]):
                            order.setdefault(digest, []).append(index)
                    elif line.get("here"):
                        for index in order.get(line["layer"], ()):
                            nursery.start_soon(self._unpack, config, line["layer"], index, unpacking)
                    way.tell(line)
            found = _outcome(last)
            if not found["fetched"]:
                return await trio.to_thread.run_sync(self._images.resolve, str(wanted))
            way.tell({"stage": "unpacking"})
            try:
                return await trio.to_thread.run_sync(self._images.add_pulled, str(wanted), found["digest"])
            except OSError as error:
                text = f"cannot store {wanted}: {error.strerror or error} (make room: orch image prune)"
                raise RegistryFailure(text, "full" if error.errno in FULL else "refused") from error

    async def _unpack(self, config: str, layer: str, index: int, limiter: trio.CapacityLimiter) -> None:
        try:
            await trio.to_thread.run_sync(self._images.unpack_layer, config, layer, index, limiter=limiter)
        except (ImageCorrupt, OSError):
            return  # met again, and told, when the image gets its name


def _outcome(last: Mapping[str, Any]) -> Mapping[str, Any]:
    if "error" in last:
        raise RegistryFailure(str(last["error"]), str(last["kind"]))
    if "digest" not in last:
        raise RegistryFailure("cannot finish: what speaks with registries was killed (try again)", "unreachable")
    return last


async def _worker(request: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any]]:
    """What it says, line by line; it ends with its reader."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-I", "-m", "orchestr.images.registry.worker"],
        stdin=PIPE,
        stdout=PIPE,
        env={key: value for key, value in os.environ.items() if key in _KEPT},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        await process.stdin.send_all(json.dumps(request).encode())
        await process.stdin.aclose()
        pending = b""
        async for chunk in process.stdout:
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                yield json.loads(line)
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
