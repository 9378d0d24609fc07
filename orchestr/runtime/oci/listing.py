"""state and list: what the runtime specification calls the state of a container, of one or all of them."""

import os
from contextlib import suppress
from typing import Any, Final

from orchestr.runtime import lean
from orchestr.runtime.oci import state
from orchestr.runtime.oci.options import Call, Command, Option
from orchestr.runtime.seam import RuntimeFailure

VERSION: Final = "1.2.0"  # of the runtime specification
_PATIENCE: Final = 0.5  # seconds; a hook of `create` that asks waits in vain


def view(root: str, found: state.State) -> dict[str, Any]:
    """As hooks get it on stdin, too."""
    now = state.status(root, found)
    return {
        "ociVersion": VERSION,
        "id": found.id,
        "pid": 0 if now == "stopped" else found.pid,
        "status": now,
        "bundle": found.bundle,
        "rootfs": found.rootfs,
        "created": found.created,
        "annotations": found.config.get("annotations") or {},
    }


def state_(call: Call) -> int:
    import json

    found = state.load(call.root, call.id)
    if not found.pid:  # in the making, which takes milliseconds: who asks so early wants to know what comes of it
        with suppress(RuntimeFailure):
            os.close(state.lock(call.root, call.id, patience=_PATIENCE))
        found = state.load(call.root, call.id)
    print(json.dumps(view(call.root, found), indent=2))
    return 0


def list_(call: Call) -> int:
    form = call.text("format", "table")
    if form not in ("table", "json"):
        raise RuntimeFailure(f"cannot list as {form}: invalid format option (table or json)")
    if "root" in call.common and not os.path.isdir(call.root):
        raise RuntimeFailure(f"cannot list {call.root}: no such file or directory")
    views = [{**view(call.root, found), "owner": _owner(call.root, found.id)} for found in _all(call.root)]
    if call.flag("quiet"):
        for item in views:
            print(item["id"])
    elif form == "json":
        print(lean.dumps(views))
    else:
        _table(views)
    return 0


def _all(root: str) -> list[state.State]:
    """Those that are there while we look: others come and go."""
    found = []
    for id in state.ids(root):
        try:
            found.append(state.load(root, id))
        except RuntimeFailure:
            continue
    return found


def _owner(root: str, id: str) -> str:
    import pwd

    try:
        uid = os.stat(state.directory(root, id)).st_uid
    except FileNotFoundError:
        return ""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def _table(views: list[dict[str, Any]]) -> None:
    names = ("id", "pid", "status", "bundle", "created", "owner")
    rows = [[name.upper() for name in names], *([str(item[name]) for name in names] for item in views)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("   ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())


COMMANDS: Final = {
    "state": Command(state_, "print the state of a container as JSON"),
    "list": Command(
        list_,
        "list the containers",
        "",
        {"format": Option("table or json", "FORMAT", "f"), "quiet": Option("only their ids", short="q")},
    ),
}
