"""Stages: which there are, what each waits for, and which of them a target needs."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestr.cycles import find_cycle, path
from orchestr.images.build import words
from orchestr.images.build.dockerfile import Instruction
from orchestr.images.build.seam import BuildError

SCRATCH = "scratch"


@dataclass(frozen=True, slots=True)
class Stage:
    index: int
    name: str  # "" when it has none
    base: str  # an image, SCRATCH, or a stage's name
    platform: str
    origin: Instruction  # its FROM
    steps: tuple[Instruction, ...]
    above: int | None = None  # the stage that it begins with
    sources: Mapping[str, int] | None = None  # what --from and from= say -> stage

    def __str__(self) -> str:
        return self.name or str(self.index)

    @property
    def waits(self) -> frozenset[int]:
        return frozenset((self.sources or {}).values()) | (frozenset() if self.above is None else {self.above})


@dataclass(frozen=True, slots=True)
class Plan:
    stages: tuple[Stage, ...]
    target: int
    needed: frozenset[int]
    globals: Mapping[str, str]  # ARGs before the first FROM


def plan(
    instructions: Sequence[Instruction], given: Mapping[str, str], platform: Mapping[str, str], target: str = ""
) -> Plan:
    """`given` are build arguments, `platform` TARGETARCH and its like. Raises BuildError: no stage, an unknown target,
    a cycle."""
    first = next((at for at, each in enumerate(instructions) if each.name == "FROM"), len(instructions))
    known: dict[str, str] = {}
    for each in instructions[:first]:
        if each.name != "ARG":
            each.fail("stands before the first FROM (only ARG may)")
        known |= {
            name: value or "" for name, value in arguments(each, {**platform, **known}, given) if value is not None
        }
    if first == len(instructions):
        raise BuildError(f"{instructions[0].file}:{instructions[-1].line}: there is no FROM (begin with FROM IMAGE)")
    stages = _connected(_stages(instructions[first:], {**platform, **known}))
    at = _target(stages, target)
    _no_cycle(stages)
    return Plan(stages, at, _closure(stages, at), known)


def arguments(
    instruction: Instruction, scope: Mapping[str, str], given: Mapping[str, str]
) -> list[tuple[str, str | None]]:
    """What an ARG declares: (name, value); None when nobody gives one."""
    found: list[tuple[str, str | None]] = []
    seen = dict(scope)
    try:
        for word in words.split(instruction.text, instruction.escape):
            name, equals, default = word.partition("=")
            name = words.expand(name, seen, instruction.escape)
            if not words.is_name(name):
                instruction.fail(f"{name!r} is not a name of letters, digits and _")
            value = given.get(name, words.expand(default, seen, instruction.escape) if equals else None)
            found.append((name, value))
            seen[name] = value or ""
    except words.BadWord as error:
        instruction.fail(str(error))
    return found


def _stages(instructions: Sequence[Instruction], scope: Mapping[str, str]) -> list[Stage]:
    stages: list[Stage] = []
    for each in instructions:
        if each.name == "FROM":
            stages.append(_stage(len(stages), each, scope))
        else:
            stages[-1] = replace(stages[-1], steps=(*stages[-1].steps, each))
    return stages


def _stage(index: int, origin: Instruction, scope: Mapping[str, str]) -> Stage:
    parts = origin.text.split()
    if len(parts) not in (1, 3) or (len(parts) == 3 and parts[1].lower() != "as"):
        origin.fail("write FROM IMAGE, or FROM IMAGE AS NAME")
    try:
        base = words.expand(parts[0], scope, origin.escape)
        platform = words.expand(origin.flag("platform"), scope, origin.escape)
    except words.BadWord as error:
        origin.fail(str(error))
    if not base:
        origin.fail(f"{parts[0]} is empty (give its ARG a value before FROM, or --build-arg)")
    name = parts[2].lower() if len(parts) == 3 else ""
    if name and not name.replace("-", "a").replace("_", "a").replace(".", "a").isalnum():
        origin.fail(f"{name} is not a stage's name (letters, digits, '-', '_' and '.')")
    return Stage(index, name, base, platform, origin, ())


def _connected(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """With the stages that they name. A name means a stage above for FROM, any stage for what copies."""
    connected = []
    for stage in stages:
        above = next((each.index for each in reversed(stages[: stage.index]) if each.name == stage.base.lower()), None)
        sources = {}
        for step in stage.steps:
            for word in _froms(step):
                found = _find(stages, word)
                if found is not None:
                    sources[word] = found
                elif word.isdigit():
                    step.fail(f"from {word}: there is no such stage (there are {len(stages)})")
        connected.append(replace(stage, above=above, sources=sources))
    return tuple(connected)


def _froms(step: Instruction) -> list[str]:
    if step.name == "COPY":
        return [word for word in step.all("from") if word]
    if step.name != "RUN":
        return []
    fields = [field.strip() for mount in step.all("mount") for field in mount.split(",")]
    return [field[5:] for field in fields if field.lower().startswith("from=")]


def _find(stages: Sequence[Stage], word: str) -> int | None:
    if word.isdigit():
        return int(word) if int(word) < len(stages) else None
    return next((each.index for each in reversed(stages) if each.name == word.lower()), None)


def _target(stages: Sequence[Stage], target: str) -> int:
    if not target:
        return len(stages) - 1
    found = _find(stages, target)
    if found is None:
        names = [str(stage) for stage in stages]
        near = difflib.get_close_matches(target, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        file = stages[0].origin.file
        raise BuildError(f"{file}:1: there is no stage {target} to build ({hint})")
    return found


def _no_cycle(stages: Sequence[Stage]) -> None:
    cycle = find_cycle({stage.index: sorted(stage.waits) for stage in stages})
    if cycle:
        stages[cycle[0]].origin.fail(f"stages wait for each other: {path(stages[index] for index in cycle)}")


def _closure(stages: Sequence[Stage], target: int) -> frozenset[int]:
    needed, todo = set[int](), [target]
    while todo:
        index = todo.pop()
        if index not in needed:
            needed.add(index)
            todo += stages[index].waits
    return frozenset(needed)
