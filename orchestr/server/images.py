"""/orchestr.dev/v1/images: list and inspect, load and save archives, remove, bootstrap with lines of progress.

GET    images                        {"kind":"ImageList","items":[...]}
GET    images?name=REF               {"kind":"Image", ...}
POST   images/load[?name=REF]        a tar archive as the body; {"kind":"ImageList","items":[...]} of what came in
GET    images/save?name=REF&...      a tar archive; format=oci-archive (default) or docker-archive
DELETE images?name=REF
GET    images/df                     {"kind":"ImageUsage", ...}: bytes on the disk, of each image what is its own
GET    images/diff?name=REF&...      {"kind":"ImageDiff","items":[{"kind":"A","path"}]}: from the first to the second
                                     name, or to the running container of &namespace=, &pod= (and &container=)
GET    images/mounts                 {"kind":"ImageMountList","items":[{"path","digest","names"}]}
POST   images/mount                  {"name"}; {"kind":"ImageMount","path"}: a directory of the machine, read-only
POST   images/unmount                {"names": [...]}, or {"all": true}
POST   images/prune                  {"all","until","dryRun"}; {"kind":"ImagesPruned","images":[...],"leftovers","size"}
POST   images/tag                    {"name","as"}: another name for an image that is here
POST   images/pull                   {"name","logins":[config.json]}; lines of JSON, the last with "image" or a Status
POST   images/push                   likewise
POST   images/build                  see build.py
POST   images/bootstrap              {"name","suite","packages"}; lines of JSON, the last with "image" or a Status
"""

import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from functools import partial
from typing import Any

import trio
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from orchestr.api.errors import ApiError, BadRequest, Invalid, NotFound
from orchestr.images.seam import Image, ImageError, ImageNotFound, Progress
from orchestr.server.answer import JSON, Emit, Stream, dump, json_data, success
from orchestr.server.body import json_object
from orchestr.server.node import Node

PIECE = 1024 * 1024
FORMATS = ("oci-archive", "docker-archive")


@contextmanager
def told() -> Iterator[None]:
    """Image errors as API errors."""
    try:
        yield
    except ImageNotFound as error:
        raise NotFound(str(error)) from error
    except ImageError as error:
        raise Invalid(str(error)) from error


def wire(image: Image) -> dict[str, Any]:
    return {
        "kind": "Image",
        "apiVersion": "orchestr.dev/v1",
        "digest": image.digest,
        "names": list(image.names),
        "size": image.size,
        "created": image.created,
        "layers": list(image.layers),
        "config": dict(image.raw_config),
    }


def _list(images: list[Image]) -> Response:
    return json_data({"kind": "ImageList", "apiVersion": "orchestr.dev/v1", "items": [wire(image) for image in images]})


def name(query: QueryParams) -> str:
    found = query.get("name")
    if not found:
        raise BadRequest("cannot read the query: no image named (give name=REFERENCE)")
    return found


async def show(node: Node, query: QueryParams) -> Response:
    with told():
        if "name" in query:
            return json_data(wire(await trio.to_thread.run_sync(node.images.resolve, name(query))))
        return _list(list(await trio.to_thread.run_sync(node.images.list)))


async def remove(node: Node, query: QueryParams) -> Response:
    with told():
        await trio.to_thread.run_sync(node.images.remove, name(query), await node.uses())
    return success({"name": name(query), "kind": "images"})


async def diff(node: Node, query: QueryParams) -> Response:
    names, pod = query.getlist("name"), query.get("pod")
    if len(names) + bool(pod) not in ((1, 2) if pod else (2,)):
        raise BadRequest("cannot compare: give two names, or one, or none, and a pod")
    upper = ""
    if pod:
        own, upper = await node.layers_of(query.get("namespace") or "default", pod, query.get("container"))
        names = [*(names or [own]), own]
    with told():
        found = await trio.to_thread.run_sync(node.images.difference, names[0], names[1], upper)
    items = [{"kind": each.kind, "path": each.path} for each in found]
    return json_data({"kind": "ImageDiff", "apiVersion": "orchestr.dev/v1", "items": items})


async def mounts(node: Node) -> Response:
    with told():
        found = await trio.to_thread.run_sync(node.images.mounts)
    items = [{"path": path, "digest": image.digest, "names": list(image.names)} for path, image in found.items()]
    return json_data({"kind": "ImageMountList", "apiVersion": "orchestr.dev/v1", "items": items})


async def mount(node: Node, request: Request) -> Response:
    wanted = (await json_object(request)).get("name")
    if not isinstance(wanted, str):
        raise BadRequest('cannot mount: send {"name": "redis:7"}')
    with told():
        path = await trio.to_thread.run_sync(node.images.mount, wanted)
    return json_data({"kind": "ImageMount", "apiVersion": "orchestr.dev/v1", "path": path})


async def unmount(node: Node, request: Request) -> Response:
    wanted = await json_object(request)
    given = wanted.get("names")
    good = isinstance(given, list) and all(isinstance(each, str) for each in given)
    if good == (wanted.get("all") is True):
        raise BadRequest('cannot unmount: send {"names": ["redis:7"]} or {"all": true}')
    with told():
        await trio.to_thread.run_sync(node.images.unmount, given if good else None)
    return success({"kind": "images"})


async def prune(node: Node, request: Request) -> Response:
    wanted = await json_object(request)
    until = wanted.get("until")
    if not all(isinstance(wanted.get(key, False), bool) for key in ("all", "dryRun")) or not isinstance(
        until, int | float | None
    ):
        raise BadRequest('cannot prune: send {"all": false, "until": seconds since 1970, "dryRun": false}')
    call = partial(node.images.prune, everything=wanted.get("all", False), dry=wanted.get("dryRun", False), until=until)
    with told():
        freed = await trio.to_thread.run_sync(call, await node.uses())
    items = [{"digest": each.digest, "names": list(each.names)} for each in freed.images]
    return json_data(
        {"kind": "ImagesPruned", "apiVersion": "orchestr.dev/v1", "images": items, "leftovers": freed.leftovers,
         "size": freed.size}
    )  # fmt: skip


async def usage(node: Node) -> Response:
    with told():
        found = await trio.to_thread.run_sync(node.images.usage, await node.uses())
    items = [
        {"digest": each.digest, "names": list(each.names), "used": each.used, "created": each.parts.created,
         "size": size, "unique": unique}
        for each, size, unique in found.images
    ]  # fmt: skip
    high, low = node.images.watermarks
    leftovers = {"count": found.leftovers.leftovers, "size": found.leftovers.size}
    disk = os.statvfs(node.scratch)
    return json_data(
        {"kind": "ImageUsage", "apiVersion": "orchestr.dev/v1", "images": items, "size": found.total,
         "reclaimable": found.idle, "leftovers": leftovers,
         "disk": {"size": disk.f_blocks * disk.f_frsize, "available": disk.f_bavail * disk.f_frsize, "high": high,
                  "low": low}}
    )  # fmt: skip


async def load(node: Node, request: Request) -> Response:
    """The archive goes to a file first: an archive's index may stand at its end."""
    with tempfile.NamedTemporaryFile(dir=node.scratch, prefix="load-") as file:
        async with aclosing(request.stream()) as pieces:
            async for piece in pieces:
                await trio.to_thread.run_sync(file.write, piece)
        await trio.to_thread.run_sync(file.flush)
        with told():
            call = partial(node.images.load, file.name, request.query_params.get("name"))
            return _list(list(await trio.to_thread.run_sync(call)))


async def save(node: Node, query: QueryParams) -> Response:
    wanted = query.get("format") or FORMATS[0]
    if wanted not in FORMATS:
        raise BadRequest(f"cannot save: format {wanted[:64]!r} is not supported (use {' or '.join(FORMATS)})")
    name(query)
    with tempfile.TemporaryDirectory(dir=node.scratch, prefix="save-") as directory:
        path = os.path.join(directory, "image.tar")
        with told():
            await trio.to_thread.run_sync(partial(node.images.save, query.getlist("name"), path, format=wanted))
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # the file lives on, nameless, until it is sent

    async def run(emit: Emit) -> None:
        async with await trio.open_file(descriptor, "rb") as file:
            while piece := await file.read(PIECE):
                await emit(piece)

    return Stream(run, "application/x-tar")


async def tag(node: Node, request: Request) -> Response:
    wanted = await json_object(request)
    if not all(isinstance(wanted.get(key), str) for key in ("name", "as")):
        raise BadRequest('cannot tag: send {"name": "app:1", "as": "registry.example.com/app:1"}')
    with told():
        await trio.to_thread.run_sync(node.images.tag, wanted["name"], wanted["as"])
    return success({"name": wanted["as"], "kind": "images"})


async def pull(node: Node, request: Request) -> Response:
    name, logins = await _exchanged(request)

    async def carry_out(progress: Progress) -> str:
        return (await node.registry.pull(name, logins, progress)).digest

    return lines(name, carry_out)


async def push(node: Node, request: Request) -> Response:
    name, logins = await _exchanged(request)
    return lines(name, partial(node.registry.push, name, logins))


async def _exchanged(request: Request) -> tuple[str, list[dict[str, Any]]]:
    wanted = await json_object(request)
    logins = wanted.get("logins") or []
    good = isinstance(logins, list) and all(isinstance(each, dict) for each in logins)
    if not (good and isinstance(wanted.get("name"), str)):
        raise BadRequest('cannot read the body: send {"name": "redis:7", "logins": [{"auths": {...}}]}')
    return wanted["name"], logins


def lines(name: str, carry_out: Callable[[Progress], Awaitable[str]]) -> Response:
    """Progress as it comes; what came while the last line was being sent is told as one."""

    async def run(emit: Emit) -> None:
        pending: dict[object, Mapping[str, Any]] = {}
        news = trio.Event()
        last: dict[str, Any] = {}

        def progress(line: Mapping[str, Any]) -> None:
            pending[line.get("layer", len(pending))] = line  # of each layer the latest only
            news.set()

        async def work() -> None:
            try:
                last.update(image=await carry_out(progress), name=name)
            except ImageError as error:
                last.update(Invalid(str(error)).status())
            news.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            while not last or pending:
                await news.wait()
                news = trio.Event()
                told_now = list(pending.values())
                pending.clear()
                for line in told_now:
                    await emit(json.dumps(line).encode() + b"\n")
        await emit(json.dumps(last).encode() + b"\n")

    return Stream(run, JSON)


async def bootstrap(node: Node, request: Request) -> Response:
    wanted = await json_object(request)
    packages = wanted.get("packages", [])
    good = isinstance(packages, list) and all(isinstance(each, str) for each in packages)
    if not (good and isinstance(wanted.get("name"), str) and isinstance(wanted.get("suite"), str)):
        raise BadRequest('cannot bootstrap: send {"name": "redis", "suite": "bookworm", "packages": ["redis-server"]}')
    progress = node.bootstrap(wanted["name"], wanted["suite"], packages)

    async def run(emit: Emit) -> None:
        try:
            async with aclosing(progress) as lines:
                async for line in lines:
                    await emit(json.dumps(line).encode() + b"\n")
        except (ApiError, ImageError) as error:
            status = error.status() if isinstance(error, ApiError) else Invalid(str(error)).status()
            await emit(dump(status) + b"\n")

    return Stream(run, JSON)
