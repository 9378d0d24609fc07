"""RUN --mount=type=...: what the words say, checked."""

import csv
import difflib
import os
from dataclasses import dataclass

from orchestr.images.build.dockerfile import Instruction

KEYS = {
    "bind": ("target", "source", "from", "readwrite"),
    "cache": ("target", "id", "readonly", "sharing", "from", "source", "mode", "uid", "gid"),
    "tmpfs": ("target", "size"),
    "secret": ("target", "id", "required", "mode", "uid", "gid", "env"),
}
ALIASES = {"dst": "target", "destination": "target", "src": "source", "ro": "readonly", "rw": "readwrite"}
OPPOSITE = {"bind": ("readonly", "readwrite"), "cache": ("readwrite", "readonly")}
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@dataclass(frozen=True, slots=True)
class Mount:
    type: str
    target: str = ""
    source: str = ""
    from_: str = ""  # a stage or image; "" is the context
    id: str = ""
    on: bool = False  # bind: readwrite; cache: readonly; secret: required
    sharing: str = "shared"
    mode: int | None = None
    uid: int = 0
    gid: int = 0
    size: int = 0
    env: str = ""


def parse(text: str, instruction: Instruction, cwd: str) -> Mount:
    """One --mount's value, its variables filled in. Raises BuildError."""
    given: dict[str, str] = {}
    try:
        fields = next(csv.reader([text], strict=True))
    except csv.Error as error:
        instruction.fail(f"--mount={text}: {error}")
    for field in fields:
        key, equals, value = field.strip().partition("=")
        key = key.lower()
        given[ALIASES.get(key, key)] = value if equals else "true"
    kind = given.pop("type", "bind")
    if kind == "ssh":
        instruction.fail("--mount: type ssh is not supported (give what it needs as a secret)")
    if kind not in KEYS:
        instruction.fail(f"--mount: type {kind} is none of {', '.join(KEYS)}")
    if kind in OPPOSITE and (other := given.pop(OPPOSITE[kind][0], None)) is not None:
        given[OPPOSITE[kind][1]] = "false" if other == "true" else "true"
    for key in given:
        if key not in KEYS[kind]:
            near = difflib.get_close_matches(key, KEYS[kind], 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(KEYS[kind])}"
            instruction.fail(f"--mount: type {kind} has no {key} ({hint})")
    return _mount(kind, given, instruction, cwd)


def _mount(kind: str, given: dict[str, str], instruction: Instruction, cwd: str) -> Mount:
    target, source = given.get("target", ""), given.get("source", "")
    if kind in ("bind", "cache", "tmpfs") and not target:
        instruction.fail(f"--mount: type {kind} has no target")
    name = given.get("id") or (os.path.basename(target) if kind == "secret" else target)
    if not name:
        instruction.fail("--mount: type secret has neither id nor target")
    if kind == "secret" and not target and not given.get("env"):
        target = f"/run/secrets/{name}"
    sharing = given.get("sharing", "shared")
    if sharing not in ("shared", "private", "locked"):
        instruction.fail(f"--mount: sharing={sharing} is none of shared, private, locked")
    flag = {"bind": "readwrite", "cache": "readonly"}.get(kind, "required")
    if given.get(flag, "false") not in ("true", "false"):
        instruction.fail(f"--mount: {flag}={given[flag]} is neither true nor false")
    try:
        return Mount(
            kind,
            os.path.normpath(os.path.join(cwd or "/", target)) if target else "",
            source,
            given.get("from", ""),
            name,
            given.get(flag, "false") == "true",
            sharing,
            int(given["mode"], 8) if "mode" in given else None,
            int(given.get("uid", 0)),
            int(given.get("gid", 0)),
            _size(given.get("size", "0")),
            given.get("env", ""),
        )
    except ValueError as error:
        instruction.fail(f"--mount: {error}")


def _size(text: str) -> int:
    number, unit = (text[:-1], text[-1].lower()) if text[-1:].lower() in UNITS else (text, "")
    return int(number) * UNITS.get(unit, 1)
