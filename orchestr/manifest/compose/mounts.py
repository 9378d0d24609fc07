"""The files of a service: `volumes`, `tmpfs`, `secrets`, `configs`."""

import os
import re
from typing import Any

from orchestr.api.composevalue import size
from orchestr.manifest.compose.reader import Reader

TYPES = ("volume", "bind", "tmpfs")
PRIVATE = ("rprivate", "private")
OCTAL = re.compile(r"(0o?)?[0-7]{1,4}")
PLAIN = {"rw", "exec", "nosuid", "nodev", "mode=1777", "mode=01777"}  # what a memory volume is anyway


def mounts(read: Reader) -> list[dict[str, Any]]:
    listed = [_mount(entry) for entry in read.entries("volumes")]
    memory = [_tmpfs(read, entry) for entry in read.strings("tmpfs")]
    return [mount for mount in (*listed, *memory) if mount]


def _mount(read: Reader) -> dict[str, Any] | None:
    type, target = read.text("type") or "volume", read.text("target") or ""
    if type not in TYPES:
        read.refuse("type", f"volume type {type}", f"use {', '.join(TYPES)}")
        return None
    if not target.startswith("/"):
        read.lacking("target", f"{target!r} is no absolute path in the container", "begin it with /")
        return None
    found = {
        "type": type,
        "target": os.path.normpath(target),
        "source": read.text("source"),
        "read_only": read.flag("read_only"),
        "subpath": read.child("volume").text("subpath"),
        "size": read.child("tmpfs").read("size", size),
    }
    if type == "bind":
        if not found["source"]:
            read.error("source", "a bind needs the path on the machine", "add source: PATH")
            return None
        found |= _bind(read.child("bind"), str(found["source"]))
    return {key: value for key, value in found.items() if value is not None}


def _bind(read: Reader, path: str) -> dict[str, Any]:
    create = read.flag("create_host_path")
    if (propagation := read.text("propagation") or PRIVATE[0]) not in PRIVATE:
        read.refuse("propagation", f"propagation {propagation}", "mounts do not travel between machine and container")
    # A file or socket that is there is bound as it is; only what is missing is made, as a directory.
    missing_or_directory = not os.path.exists(path) or os.path.isdir(path)
    return {
        "source": os.path.normpath(path),
        "bind": {"create_host_path": create is not False and missing_or_directory},
    }


def _tmpfs(read: Reader, entry: str) -> dict[str, Any] | None:
    target, _, options = entry.partition(":")
    found: dict[str, Any] = {"type": "tmpfs", "target": target}
    if not target.startswith("/"):
        read.error("tmpfs", f"{target!r} is no absolute path in the container", "begin it with /")
        return None
    for option in options.split(",") if options else ():
        name, _, value = option.partition("=")
        if name == "size":
            try:
                found["size"] = size(value)
            except ValueError as error:
                read.error("tmpfs", str(error))
        elif option not in PLAIN:
            read.refuse("tmpfs", f"tmpfs option {option}", "options are size, mode=1777, rw, exec, nosuid, nodev")
    return found


def file_mounts(read: Reader, key: str, directory: str) -> list[dict[str, Any]]:
    """Secrets or configs of a service; a relative target stands in `directory`."""
    return [_file(entry, directory) for entry in read.entries(key) if entry.text("source") or _sourceless(entry)]


def _sourceless(read: Reader) -> bool:
    read.error("source", "missing key 'source'")
    return False


def _file(read: Reader, directory: str) -> dict[str, Any]:
    source = read.text("source") or ""
    target = read.text("target") or source
    for key in ("uid", "gid"):
        if (owner := read.text(key)) not in (None, "0"):
            read.refuse(key, f"{key} {owner}", "the file belongs to root; mode 0444 lets everybody read it")
    mode = read.read("mode", _mode)
    return {
        "source": source,
        "target": target if target.startswith("/") else directory + target,
        "mode": 0o444 if mode is None else mode,
    }


def _mode(data: Any) -> int:
    """`0440`, `"0440"` and `0o440` are octal."""
    if isinstance(data, str) and OCTAL.fullmatch(data):
        return int(data.removeprefix("0o"), 8)
    if isinstance(data, int) and not isinstance(data, bool) and 0 <= data <= 0o7777:
        return data
    raise ValueError(f"cannot read mode {data!r} (write four octal digits: 0440)")
