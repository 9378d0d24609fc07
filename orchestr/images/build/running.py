"""RUN: the process, what is mounted for it, and the layer that it leaves."""

import hashlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from orchestr.images.build import config, mounts, words
from orchestr.images.build.cache import key
from orchestr.images.build.dockerfile import Instruction
from orchestr.images.build.mounts import Mount
from orchestr.images.build.results import chain, with_layer
from orchestr.images.build.seam import Mounted, RunSpec
from orchestr.images.build.sources import inside, relative, source
from orchestr.images.build.stages import Plan, Stage
from orchestr.images.build.state import State

if TYPE_CHECKING:
    from orchestr.images.build.builder import Build

TAIL = 2000  # bytes of what a RUN printed that its error tells
_ALONE = re.compile(r"""<<-?(?:"[^"]+"|'[^']+'|[^\s"']+)$""")
SCRIPT = "/dev/pipes/script"


async def run(
    build: "Build", made: Plan, stage: Stage, state: State, step: Instruction, name: Mapping[str, Any]
) -> State:
    network = _network(build, step)
    try:
        given = [
            mounts.parse(words.expand(text, state.scope, step.escape), step, state.cwd) for text in step.all("mount")
        ]
    except words.BadWord as error:
        step.fail(str(error))
    args, script = command(state, step)
    env = {**state.args, **config.environment(state.config)}
    env.setdefault("PATH", config.PATH)
    contents = [await _digest(build, stage, step, mount) for mount in given]
    user = str(state.config.get("User") or "0")
    wanted = key({
        "do": "run", "chain": chain(state), "args": args, "script": script, "env": env, "cwd": state.cwd, "user": user,
        "mounts": step.all("mount"), "contents": contents, "network": network, "epoch": build.request.epoch,
    })  # fmt: skip
    done, place = build.cached(wanted), ""
    build.told({**name, "cached": done is not None})
    if done is None:
        place = build.scratch()
        proxies = {each: build.request.args[each] for each in config.PREDEFINED if each in build.request.args}
        async with AsyncExitStack() as stack:
            shown = [await stack.enter_async_context(_shown(build, stage, step, mount)) for mount in given]
            if script:
                path = os.path.join(build.scratch(), "script")  # on the disk: what is in memory may not be executed
                await trio.to_thread.run_sync(_write, path, script.encode("utf-8", "surrogateescape"), 0o555, 0, 0)
                shown.append(Mounted(SCRIPT, path))
            secrets = _secret_env(build, step, given)
            every = {**proxies, **env, **secrets}
            spec = RunSpec(
                args=tuple(args),
                env=tuple(f"{name}={value}" for name, value in every.items()),
                cwd=state.cwd,
                user=user,
                lower=state.lower,
                upper=place,
                binds=state.binds,
                mounts=tuple(mount for mount in shown if mount),
                network=network,
                shm=build.request.shm,
            )
            await _carried_out(build, step, spec, name)
        stubs = build.builder.runner.stubs(spec)
        answer = await build.workers.do("pack", step, lower=state.lower, stubs=stubs, **build.made_in(place))
        done = build.keep(wanted, answer, place)
    return with_layer(build, state, step, done, place)


def _network(build: "Build", step: Instruction) -> bool:
    if step.flag("security") not in ("", "sandbox"):
        step.fail("--security=insecure is not supported (RUN has no privilege here)")
    if step.flag("device"):
        step.fail("--device is not supported")
    wanted = step.flag("network") or build.request.network
    if wanted not in ("default", "none"):
        step.fail(f"--network={wanted} is not supported (default and none are)")
    return wanted == "default"


def command(state: State, step: Instruction) -> tuple[list[str], str]:
    """The words to run, and the script among them if a here-document is one with an interpreter of its own."""
    if step.words is not None:
        return list(step.words), ""
    shell = list(state.config.get("Shell") or config.SHELL)
    if len(step.heredocs) == 1 and _ALONE.fullmatch(step.text):
        content = step.heredocs[0].content
        return ([SCRIPT], content) if content.startswith("#!") else ([*shell, content], "")
    return [*shell, "\n".join([step.text, *(f"{each.content}{each.name}" for each in step.heredocs)])], ""


async def _carried_out(build: "Build", step: Instruction, spec: RunSpec, name: Mapping[str, Any]) -> None:
    tail = bytearray()

    def output(piece: bytes) -> None:
        tail.extend(piece)
        del tail[:-TAIL]
        build.told({"stage": name["stage"], "number": name["number"], "output": piece.decode(errors="replace")})

    code = await build.builder.runner.run(spec, output)
    if code:
        said = tail.decode(errors="replace").strip()
        step.fail(f"{str(step)[4:200]} ended with exit code {code}" + (f", last it said:\n{said}" if said else ""))


# -- what is mounted


async def _digest(build: "Build", stage: Stage, step: Instruction, mount: Mount) -> str:
    """What a bind shows, by content. Secrets and caches are in no key."""
    if mount.type != "bind":
        return ""
    answer = await build.workers.do(
        "digest",
        step,
        source=await source(build, stage, step, mount.from_),
        sources=[relative(mount.source)],
        exclude=[],
        parents=False,
        scratch=build.scratch(),
    )
    return str(answer["digest"])


@asynccontextmanager
async def _shown(build: "Build", stage: Stage, step: Instruction, mount: Mount) -> AsyncIterator[Mounted | None]:
    if mount.type == "tmpfs":
        yield Mounted(mount.target, readonly=False, size=mount.size)
    elif mount.type == "bind":
        tree, path = await source(build, stage, step, mount.from_), relative(mount.source)
        if mount.from_ or mount.on:  # what is written to it is thrown away
            where = {"target": build.scratch(), "scratch": build.scratch()}
            answer = await build.workers.do("subtree", step, source=tree, path=path, **where)
            yield Mounted(mount.target, answer["path"], readonly=not mount.on)
        else:
            yield Mounted(mount.target, inside(build.context, path, step))
    elif mount.type == "secret":
        content = _secret(build, step, mount)
        if content is None or not mount.target:
            yield None
            return
        async with AsyncExitStack() as stack:
            mode = 0o400 if mount.mode is None else mount.mode
            yield Mounted(mount.target, await _written(stack, build, content, mode, mount.uid, mount.gid))
    elif mount.type == "cache":
        async with _cache(build, step, mount) as path:
            yield Mounted(mount.target, path, readonly=mount.on)


@asynccontextmanager
async def _cache(build: "Build", step: Instruction, mount: Mount) -> AsyncIterator[str]:
    """A directory that later builds find again, by its id."""
    if mount.from_ or mount.source:
        step.fail("--mount: a cache with from or source is not supported (fill it by a RUN)")
    folder = os.path.join(build.builder.folder, "mounts")
    path = os.path.join(folder, hashlib.sha256(mount.id.encode()).hexdigest()[:32])
    lock = build.builder.locks.setdefault(path, trio.Lock())
    private = mount.sharing == "private"
    if private and lock.locked():
        path = build.scratch() + "/cache"
    held = mount.sharing == "locked" or (private and not lock.locked())
    async with lock if held else AsyncExitStack():
        await trio.to_thread.run_sync(_make, path, mount)
        yield path


def _make(path: str, mount: Mount) -> None:
    if not os.path.isdir(path):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.mkdir(path)
        os.chown(path, mount.uid, mount.gid)
        os.chmod(path, 0o755 if mount.mode is None else mount.mode)


def _secret(build: "Build", step: Instruction, mount: Mount) -> bytes | None:
    content = build.request.secrets.get(mount.id)
    if content is None and mount.on:
        step.fail(f"secret {mount.id} is required and was not given (--secret id={mount.id},src=FILE)")
    return content


def _secret_env(build: "Build", step: Instruction, given: list[Mount]) -> dict[str, str]:
    found = {}
    for mount in given:
        if mount.type == "secret" and mount.env and (content := _secret(build, step, mount)) is not None:
            found[mount.env] = content.decode("utf-8", "surrogateescape")
    return found


async def _written(stack: AsyncExitStack, build: "Build", content: bytes, mode: int, uid: int = 0, gid: int = 0) -> str:
    """A file in memory, gone when the RUN has ended."""
    folder = os.path.join(build.builder.volatile(), f"build-{os.urandom(8).hex()}")
    os.mkdir(folder, 0o700)
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    path = os.path.join(folder, "file")
    await trio.to_thread.run_sync(_write, path, content, mode, uid, gid)
    return path


def _write(path: str, content: bytes, mode: int, uid: int, gid: int) -> None:
    with open(path, "xb") as file:
        file.write(content)
        os.fchown(file.fileno(), uid, gid)
        os.fchmod(file.fileno(), mode)
