"""What each instruction does to a stage. RUN is in running.py."""

import posixpath
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestr.images.build import config, words
from orchestr.images.build.cache import key
from orchestr.images.build.dockerfile import Instruction
from orchestr.images.build.modes import valid
from orchestr.images.build.patterns import Patterns
from orchestr.images.build.results import chain, remembered, with_layer
from orchestr.images.build.running import run
from orchestr.images.build.sources import source
from orchestr.images.build.stages import Plan, Stage, arguments
from orchestr.images.build.state import State

if TYPE_CHECKING:
    from orchestr.images.build.builder import Build

Name = Mapping[str, Any]  # how progress calls the step
Step = Callable[["Build", Plan, Stage, State, Instruction, Name], Awaitable[State]]


async def _metadata(build: "Build", made: Plan, stage: Stage, state: State, step: Instruction, name: Name) -> State:
    """Says something about the image, and touches no file."""
    build.told(name)
    changed = config.changed(state.config, step, state.scope)
    if step.name == "ENTRYPOINT" and not state.cmd:
        changed.pop("Cmd", None)
    return remembered(state.but(config=changed, cmd=state.cmd or step.name == "CMD"), step, state.created, empty=True)


async def _arg(build: "Build", made: Plan, stage: Stage, state: State, step: Instruction, name: Name) -> State:
    build.told(name)
    args = dict(state.args)
    for word, value in arguments(step, state.scope, build.request.args):
        value = made.globals.get(word) if value is None else value
        if value is not None:
            args[word] = value
    return remembered(state.but(args=args), step, state.created, empty=True)


async def _workdir(build: "Build", made: Plan, stage: Stage, state: State, step: Instruction, name: Name) -> State:
    """The directory is made when it is not there."""
    state = state.but(config=config.changed(state.config, step, state.scope))
    wanted = key({"do": "folder", "chain": chain(state), "target": state.cwd, "epoch": build.request.epoch})
    done, place = build.cached(wanted), ""
    build.told({**name, "cached": done is not None})
    if done is None:
        place = build.scratch()
        where = {"target": state.cwd, "lower": state.lower, "binds": state.binds}
        done = build.keep(wanted, await build.workers.do("folder", step, **where, **build.made_in(place)), place)
    return with_layer(build, state, step, done, place)


async def _copy(build: "Build", made: Plan, stage: Stage, state: State, step: Instruction, name: Name) -> State:
    try:
        *given, target = [
            word if word.startswith("<<") else words.expand(word, state.scope, step.escape)
            for word in (step.words if step.words is not None else step.text.split())
        ]
        how = {flag: words.expand(step.flag(flag), state.scope, step.escape) for flag in ("chown", "chmod")}
        exclude = [words.expand(each, state.scope, step.escape) for each in step.all("exclude")]
        Patterns(exclude)
    except ValueError as error:  # BadWord, a pattern that is none
        step.fail(str(error))
    if not given:
        step.fail("has no source or no destination (write COPY SOURCE... DESTINATION)")
    if how["chmod"] and not valid(how["chmod"]):
        step.fail(f"--chmod={how['chmod']} is not a mode (write 755 or u=rwX,go=rX)")
    target, link, parents = destination(target, state.cwd), step.on("link"), step.on("parents")
    parts = await _parts(build, stage, state, step, given)
    digests = [
        await build.workers.do("digest", step, exclude=exclude, parents=parents, scratch=build.scratch(), **part)
        for part in parts
    ]
    wanted = key({
        **how, "do": "copy", "target": target, "exclude": exclude, "parents": parents, "epoch": build.request.epoch,
        "chain": [] if link else chain(state), "unpack": [part["unpack"] for part in parts],
        "digests": [each["digest"] for each in digests],
    })  # fmt: skip
    done, place = build.cached(wanted), ""
    build.told({**name, "cached": done is not None})
    if done is None:
        place, lower = build.scratch(), () if link else state.lower
        answer = await build.copied(
            parts, place, step, target=target, lower=lower, binds=state.binds, exclude=exclude, parents=parents, **how
        )
        done = build.keep(wanted, answer, place)
    return with_layer(build, state, step, done, place)


def destination(target: str, cwd: str) -> str:
    """Absolute; a slash at the end says that it is a directory."""
    path = posixpath.normpath(posixpath.join("/", cwd, target))
    folder = target.endswith("/") or posixpath.basename(target) in (".", "..")
    return path if not folder or path == "/" else f"{path}/"


async def _parts(
    build: "Build", stage: Stage, state: State, step: Instruction, given: Sequence[str]
) -> list[dict[str, Any]]:
    """Source trees, with what is meant of each."""
    add = step.name == "ADD"
    unpack = step.on("unpack") if step.flag("unpack") else add
    documents = {
        each.name: words.expand(each.content, state.scope, step.escape, quotes=False) if each.expand else each.content
        for each in step.heredocs
    }
    plain = [word for word in given if not word.startswith("<<")]
    urls = [word for word in plain if add and remote(word)]
    files = [word for word in plain if word not in urls]
    parts: list[dict[str, Any]] = []
    if files:
        tree = await source(build, stage, step, step.flag("from") if not add else "")
        parts.append({"source": tree, "sources": files, "unpack": unpack})
    for url in urls:
        folder, file = await _downloaded(build, step, url)
        parts.append({"source": {"path": folder}, "sources": [file], "unpack": step.on("unpack")})
    if documents:
        parts.append({"source": {"files": documents}, "sources": list(documents), "unpack": False})
    return parts


def remote(word: str) -> bool:
    return "://" in word or word.startswith("git@")


async def _downloaded(build: "Build", step: Instruction, url: str) -> tuple[str, str]:
    checksum = step.flag("checksum")
    if not url.startswith(("http://", "https://")) or url.partition("#")[0].endswith(".git"):
        step.fail(f"{url} is not supported (http and https with --checksum are; clone repositories before the build)")
    if not checksum.startswith("sha256:"):
        step.fail(f"{url} needs --checksum=sha256:... (what it should be, so that builds can be repeated)")
    name = posixpath.basename(url.partition("?")[0].rstrip("/")) or "file"
    folder = build.scratch()
    await build.workers.do("download", step, url=url, name=name, target=folder, checksum=checksum)
    return folder, name


STEPS: dict[str, Step] = {
    **dict.fromkeys(config.CHANGES, _metadata),
    "ADD": _copy,
    "ARG": _arg,
    "COPY": _copy,
    "RUN": run,
    "WORKDIR": _workdir,
}
