"""create: the container's process is made and waits; nothing of it is left when any step fails."""

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orchestr.runtime import cgroups
from orchestr.runtime.launch import start as launch
from orchestr.runtime.oci import bundle, handover, log, state
from orchestr.runtime.oci.options import Call, Command, Option
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.spawn import Launched

if TYPE_CHECKING:
    from orchestr.runtime.oci.rootless import Maps

CREATE: Final[Mapping[str, Option]] = {
    "bundle": Option("where config.json is (default: here)", "DIR", "b"),
    "config": Option("read this instead of BUNDLE/config.json", "FILE", "f"),
    "console-socket": Option("the terminal's master end is sent to this AF_UNIX socket", "PATH"),
    "pidfd-socket": Option("a pidfd of the process is sent to this AF_UNIX socket", "PATH"),
    "pid-file": Option("the pid is written to it, whole", "FILE"),
    "preserve-fds": Option("descriptors 3 to 3+N-1 go to the container", "N"),
    "no-pivot": Option("do not use pivot_root: for a root on a ramdisk"),
    "no-new-keyring": Option("keep the caller's session keyring"),
}


class Created(NamedTuple):
    launched: Launched
    console: int  # the terminal's master end when nobody else has got it, else -1


def create(call: Call) -> int:
    make(call)
    return 0


def make(call: Call, *, attached: bool = False) -> Created:
    """Created, its process waiting. `attached`: the caller stays, so that a terminal may be its own."""
    state.directory(call.root, call.id)  # a wrong id is told before all else
    where = os.path.abspath(call.text("bundle", "."))
    if os.geteuid():
        from orchestr.runtime.oci import rootless

        rootless.enter(call.root)
    found = bundle.read(where, call.id, manager(call), _maps(call), call.text("config"))
    found = found._replace(config=_given(call, found.config))
    handover.check(call, bool((found.config.get("process") or {}).get("terminal")), attached=attached)
    lock = state.make(call.root, call.id)
    try:
        return _locked(call, where, found, attached)
    finally:
        os.close(lock)


def _maps(call: Call) -> "Maps | None":
    """An ordinary user's, in the run of this command as root of a user namespace."""
    if "rootless" not in call.common:
        return None
    from orchestr.runtime.oci import rootless

    return rootless.entered(call.common)


def manager(call: Call) -> str:
    """Who makes cgroups: --cgroup-manager is crun's word, --systemd-cgroup everybody's."""
    return "systemd" if "systemd-cgroup" in call.common else call.common.get("cgroup-manager", ["cgroupfs"])[-1]


def _given(call: Call, config: dict[str, Any]) -> dict[str, Any]:
    """With what socket activation hands on: LISTEN_FDS counts for --preserve-fds (sd_listen_fds(3))."""
    count = handover.listening()
    process = config.get("process")
    if not count or not process:
        return config
    env = [*(process.get("env") or ()), f"LISTEN_FDS={count}", "LISTEN_PID=1"]
    return {**config, "process": {**process, "env": env}}


def _locked(call: Call, where: str, found: bundle.Bundle, attached: bool) -> Created:
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    note = state.State(
        id=found.id,
        pid=0,
        start_time=0,
        bundle=where,
        rootfs=found.root,
        cgroup=found.cgroup,
        created=created,
        config=found.config,
    )
    user = (found.config.get("process") or {}).get("user") or {}
    owner = found.ids.host_uid(int(user.get("uid") or 0))
    try:
        for text in found.warnings:
            log.warning(text)
        _check_empty(found.cgroup, found.id)
        state.save(call.root, note)
        with ExitStack() as stack:
            found = _place(stack, call, found, owner)
            if found.cgroup != note.cgroup:
                state.save(call.root, note._replace(cgroup=found.cgroup))
            log.debug(f"launch {found.id}")
            launched = _launch(call, found, stack, attached)
            log.debug(f"{found.id} waits as pid {launched.pid}")
            state.born(call.root, found.id, launched.pid)
            return Created(launched, handover.give(call, launched, attached=attached))
    except BaseException as error:
        state.forget(call.root, found.id)
        if found.config.get("hooks") and isinstance(error, RuntimeFailure):
            from orchestr.runtime.oci import hooks

            if error.reason == hooks.FAILED:
                hooks.poststop(found.config, found.state)
        raise


def _place(stack: ExitStack, call: Call, found: bundle.Bundle, owner: int) -> bundle.Bundle:
    """Its cgroup is there as long as the stack; an ordinary user who may make none goes on without, and is told."""
    path = found.cgroup
    log.debug(f"make cgroup {path}")
    try:
        stack.enter_context(cgroups.placed(_limited(stack, found), path, owner, manager(call)))
    except RuntimeFailure as error:
        if _maps(call) is None:
            raise
        if set((found.config.get("linux") or {}).get("resources") or ()) - {"devices"}:
            log.warning(f"limits are not applied: {error}")
        return found._replace(cgroup="")
    return found


def _limited(stack: ExitStack, found: bundle.Bundle) -> dict[str, Any]:
    """The configuration without what is not for cgroups to do; that is undone with the stack when the launch fails."""
    linux = found.config.get("linux") or {}
    resources = linux.get("resources") or {}
    if not resources.get("network"):
        return found.config
    from orchestr.runtime.netclass import left
    from orchestr.runtime.oci import netclass

    def undo(kind: object, _error: object, _trace: object) -> None:
        if kind:
            netclass.remove(found.config, found.cgroup)

    stack.push(undo)
    return {**found.config, "linux": {**linux, "resources": left(resources)}}


def _check_empty(cgroup: str, id: str) -> None:
    """Before the state names it: deleting ends all that is in the container's cgroup."""
    if others := cgroups.processes(cgroup) if cgroup else ():
        raise RuntimeFailure(
            f"cannot create container {id}: container's cgroup is not empty: {len(others)} process(es) found "
            f"in {cgroup} (give it one of its own)"
        )


def _launch(call: Call, found: bundle.Bundle, undo: ExitStack, attached: bool) -> Launched:
    gate = os.open(f"{state.directory(call.root, call.id)}/exec.fifo", os.O_RDWR | os.O_CLOEXEC)
    try:
        opened = bundle.prepare(
            found,
            gate,
            undo,
            pivot=not call.flag("no-pivot"),
            keyring=not call.flag("no-new-keyring"),
            preserve=handover.preserved(call),
        )
        try:
            return launch(opened.target._replace(plain=handover.plain(attached=attached)), found.config, (0, 1, 2))
        finally:
            opened.close()
    finally:
        os.close(gate)


COMMANDS: Final = {"create": Command(create, "make a container from a bundle; it waits for start", options=CREATE)}
