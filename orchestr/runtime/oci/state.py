"""What orch-oci knows of a container between calls: ROOT/ID/state.json, and ROOT/ID/start, the FIFO it waits on."""

import json
import os
import shutil
from contextlib import suppress
from typing import Any, NamedTuple

from orchestr.runtime import cgroups
from orchestr.runtime.seam import RuntimeFailure


class State(NamedTuple):
    id: str
    pid: int
    start_time: int  # clock ticks since boot, field 22 of proc(5) stat: tells a reused pid
    bundle: str
    cgroup: str
    created: str  # RFC 3339
    uid_base: int
    host_users: bool
    config: dict[str, Any]


def directory(root: str, id: str) -> str:
    """RuntimeFailure on an id that would be another place."""
    if not id or id in (".", "..") or not all(c.isascii() and (c.isalnum() or c in "_+-.") for c in id):
        raise RuntimeFailure(f"cannot use container id {id!r}: letters, digits, '_', '+', '-', '.' only")
    return f"{root}/{id}"


def make(root: str, id: str) -> str:
    path = directory(root, id)
    os.makedirs(root, mode=0o700, exist_ok=True)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError as error:
        raise RuntimeFailure(f"cannot create container {id}: it exists already (delete it first)") from error
    os.mkfifo(f"{path}/start", 0o600)
    return path


def save(root: str, state: State) -> None:
    path = f"{directory(root, state.id)}/state.json"
    write(path, json.dumps(state._asdict()))


def write(path: str, text: str) -> None:
    """Whole or not at all."""
    with open(f"{path}.new", "w") as file:
        file.write(text)
    os.rename(f"{path}.new", path)


def load(root: str, id: str) -> State:
    try:
        with open(f"{directory(root, id)}/state.json") as file:
            return State(**json.load(file))
    except FileNotFoundError as error:
        raise RuntimeFailure(f"cannot find container {id}: container does not exist (see orch-oci list)") from error


def status(root: str, state: State) -> str:
    """created, running, paused or stopped."""
    if start_time(state.pid) != state.start_time:
        return "stopped"
    if os.path.exists(f"{directory(root, state.id)}/start"):
        return "created"
    return "paused" if cgroups.frozen(state.cgroup) else "running"


def start_time(pid: int) -> int:
    """-1 when there is no such process, or it has ended and waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return -1
    return -1 if fields[0] in ("Z", "X") else int(fields[19])


def forget(root: str, id: str) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(directory(root, id))
