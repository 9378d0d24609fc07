"""RUN of a build as a container of our runtime: its own user namespace and address, no privilege, gone afterwards."""

import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import trio

from orchestr.agent.node import Node
from orchestr.agent.prepare import NAME, sandbox_spec, write_etc
from orchestr.agent.runs import container_id
from orchestr.api.base import ObjectMeta
from orchestr.api.core import Pod
from orchestr.images.build.builder import Builder
from orchestr.images.build.seam import Mounted, Output, RunSpec
from orchestr.images.registry.exchange import Exchange
from orchestr.images.seam import ImageError
from orchestr.images.store import Images
from orchestr.network.seam import Link, NetworkFailure
from orchestr.runtime import logs
from orchestr.runtime.seam import Container, ContainerSpec, LogSpec, Rootfs, RuntimeFailure
from orchestr.runtime.spec import default_spec

NAMESPACE = "orchestr-build"  # what the name server calls the place of these containers
ETC = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
SYSTEM = ("/proc", "/dev", "/sys")


class ContainerRunner:
    """Fulfils images.build.seam.Runner. What a daemon that was killed left running the next one's agent ends, as it
    ends every sandbox without a pod."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def stubs(self, spec: RunSpec) -> tuple[str, ...]:
        return (*SYSTEM, *ETC, *spec.binds, *(mount.target for mount in spec.mounts))

    async def run(self, spec: RunSpec, output: Output) -> int:
        pod = Pod(metadata=ObjectMeta(name="build", namespace=NAMESPACE, uid=str(uuid.uuid4())))
        try:
            await self._node.runtime.create_sandbox(sandbox_spec(self._node, pod))
            ips = await self._connect(pod) if spec.network else ()
            files = await trio.to_thread.run_sync(write_etc, self._node, pod, ips)
            return await self._contained(pod, spec, files, output)
        except (RuntimeFailure, NetworkFailure) as error:
            raise ImageError(f"cannot run {spec.args[-1][:80]}: {error}") from error
        finally:
            with trio.CancelScope(shield=True):
                await self._clear(pod)

    async def _connect(self, pod: Pod) -> Sequence[str]:
        node, uid = self._node, pod.metadata.uid or ""
        ipv4, ipv6 = node.addresses.take(uid)
        netns = node.runtime.netns(uid)
        try:
            await node.dataplane.attach(Link(uid, ipv4, ipv6, NAMESPACE, "build", "build"), netns)
        finally:
            os.close(netns)
        return str(ipv4), str(ipv6)

    async def _contained(self, pod: Pod, spec: RunSpec, files: dict[str, str], output: Output) -> int:
        uid = pod.metadata.uid or ""
        made = container_spec(uid, spec, files)
        assert made.log is not None
        await trio.to_thread.run_sync(os.mkdir, made.log.directory)
        try:
            await self._node.runtime.start_container(made)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_told, made.log.directory, output)
                record = await self._end(made.id)
        finally:
            with trio.CancelScope(shield=True):
                await self._node.runtime.remove_container(made.id, keep_upper=True, keep_logs=False)
        if record.oom:
            output(b"killed: out of memory\n")
        if record.exit_code is None:
            raise ImageError(f"cannot tell how {spec.args[-1][:80]} ended: {record.message} (build again)")
        return record.exit_code

    async def _end(self, id: str) -> Container:
        async for record in self._node.runtime.events():
            if record.id == id and record.status == "exited":
                return record
        raise AssertionError("the runtime's events do not end")

    async def _clear(self, pod: Pod) -> None:
        node, uid = self._node, pod.metadata.uid or ""
        await node.dataplane.detach(uid)
        await node.runtime.remove_sandbox(uid)
        node.addresses.release(uid)
        await trio.to_thread.run_sync(lambda: shutil.rmtree(node.places.tmpfs(uid), ignore_errors=True))


async def _told(directory: str, output: Output) -> None:
    """Until the container has ended and all was read."""
    async for line in logs.follow(directory):
        output(line.data + (b"" if line.partial else b"\n"))


def container_spec(uid: str, spec: RunSpec, files: dict[str, str]) -> ContainerSpec:
    taken = {mount.target for mount in spec.mounts}
    mounts: list[dict[str, Any]] = [
        *(_bind(path, path, readonly=True) for path in spec.binds),
        *(_bind(target, path, readonly=True) for target, path in files.items() if target not in taken),
        *(_mount(mount) for mount in spec.mounts),
    ]
    oci = default_spec(args=spec.args, env=spec.env, cwd=spec.cwd, user=spec.user, mounts=mounts, shm_bytes=spec.shm)
    oci["annotations"] = {NAME: "RUN of a build"}
    return ContainerSpec(
        id=container_id(uid, "run", 0),
        sandbox=uid,
        oci=oci,
        rootfs=Rootfs(lower=spec.lower, upper=spec.upper),
        log=LogSpec(os.path.join(spec.upper, "log")),
    )


def _mount(mount: Mounted) -> dict[str, Any]:
    if mount.source:
        return _bind(mount.target, mount.source, readonly=mount.readonly)
    size = [f"size={mount.size}"] if mount.size else []
    options = ["nosuid", "nodev", "mode=1777", *size]
    return {"destination": mount.target, "type": "tmpfs", "source": "tmpfs", "options": options}


def _bind(target: str, source: str, *, readonly: bool) -> dict[str, Any]:
    options = ["bind", "ro" if readonly else "rw", "nosuid", "nodev", "idmap"]
    return {"destination": target, "type": "bind", "source": source, "options": options}


def builder(node: Node, images: Images, registry: Exchange, clock: Callable[[], datetime]) -> Builder:
    async def pull(reference: str) -> None:
        await registry.pull(reference)

    return Builder(images, ContainerRunner(node), pull, node.runtime.volatile, clock)
