"""delete: what is left of a container goes: processes, cgroup, state; and what a killed command left half done."""

import os
import select
from contextlib import suppress
from typing import Final

from orchestr.runtime import cgroups
from orchestr.runtime.oci import state
from orchestr.runtime.oci.options import Call, Command, Option
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.signals import system

_PATIENCE: Final = 10_000  # milliseconds for the process to be gone after SIGKILL


def delete(call: Call) -> int:
    if not call.flag("regex"):
        away(call.root, call.id, force=call.flag("force"))
        return 0
    import re

    try:
        pattern = re.compile(call.id)
    except re.error as error:
        raise RuntimeFailure(f"cannot delete containers like {call.id}: no regular expression: {error}") from error
    for id in filter(pattern.search, state.ids(call.root)):
        away(call.root, id, force=call.flag("force"))
    return 0


def away(root: str, id: str, *, force: bool) -> None:
    try:
        lock = state.lock(root, id, patience=2.0 if force else state.PATIENCE)
    except RuntimeFailure:
        if not force:
            raise
        if not os.path.isdir(state.directory(root, id)):
            return
        lock = -1  # a launch that hangs is ended with the rest
    try:
        _away(root, id, force)
    finally:
        if lock >= 0:
            os.close(lock)


def _away(root: str, id: str, force: bool) -> None:
    try:
        found = state.load(root, id)
    except RuntimeFailure:
        state.forget(root, id)  # a create was killed before it made anything
        if not force:
            raise
        return
    # Whose lock we hold cannot be in the making: `creating` is what a killed create left.
    if found.pid and not force and (now := state.status(root, found)) not in ("stopped", "created"):
        raise RuntimeFailure(
            f"cannot delete container {id}: cannot delete container that is not stopped: {now} (kill it, or --force)"
        )
    destroy(root, found)


def destroy(root: str, found: state.State) -> None:
    """Its lock is the caller's."""
    _end(found)
    if ((found.config.get("linux") or {}).get("resources") or {}).get("network"):
        from orchestr.runtime.oci import netclass

        netclass.remove(found.config, found.cgroup)
    cgroups.remove(found.cgroup)
    state.forget(root, found.id)
    if (found.config.get("hooks") or {}).get("poststop"):
        from orchestr.runtime.oci import hooks, listing

        hooks.poststop(found.config, listing.view(root, found))


def _end(found: state.State) -> None:
    fd = state.open_process(found)
    try:
        if fd >= 0:
            with suppress(ProcessLookupError):
                system.pidfd_send_signal(fd, system.SIGKILL)
        cgroups.kill_all(found.cgroup)
        if fd >= 0:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            poll.poll(_PATIENCE)
    finally:
        if fd >= 0:
            os.close(fd)


COMMANDS: Final = {
    "delete": Command(
        delete,
        "remove a stopped or created container",
        options={
            "force": Option("kill it first; no error when there is none", short="f"),
            "regex": Option("ID is a regular expression: all whose id has a match in it", short="r"),
        },
        reaches=True,
    )
}
