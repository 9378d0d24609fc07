"""exec: a further process in a container that runs."""

import os
from collections.abc import Mapping
from typing import Any, Final

from orchestr.runtime import lean
from orchestr.runtime.oci import config, filters, handover, log, run, seccomp_agent, state
from orchestr.runtime.oci.options import Call, Command, Option
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.spawn import Launched

OPTIONS: Final[Mapping[str, Option]] = {
    "process": Option("an OCI process object, instead of a command", "FILE", "p"),
    "detach": Option("return when the process runs", short="d"),
    "tty": Option("give it a terminal", short="t"),
    "cwd": Option("its working directory", "DIR"),
    "env": Option("add to its environment", "NAME=VALUE", "e"),
    "user": Option("run it as this user", "UID[:GID]", "u"),
    "additional-gids": Option("a further group", "GID", "g"),
    "cap": Option("a further capability", "CAP", "c"),
    "no-new-privs": Option("set no_new_privs"),
    "apparmor": Option("its AppArmor profile", "PROFILE"),
    "process-label": Option("its SELinux label", "LABEL"),
    "cgroup": Option("a cgroup below the container's, which exists", "[CONTROLLER:]PATH"),
    "console-socket": Option("the terminal's master end is sent to this AF_UNIX socket", "PATH"),
    "pidfd-socket": Option("a pidfd of the process is sent to this AF_UNIX socket", "PATH"),
    "pid-file": Option("the pid is written to it, whole", "FILE"),
    "preserve-fds": Option("descriptors 3 to 3+N-1 go to the process", "N"),
    "ignore-paused": Option("also in a paused container, where it waits"),
}


def exec_(call: Call) -> int:
    found = _running(call)
    process = described(call, found)
    detach, tty = call.flag("detach"), bool(process.get("terminal"))
    handover.check(call, tty, attached=not detach)
    launched = _enter(call, found, process, tty, plain=handover.plain(attached=not detach))
    log.debug(f"exec in {found.id}: pid {launched.pid}")
    try:
        console = handover.give(call, launched, attached=not detach)
    except BaseException:
        os.kill(launched.pid, 9)
        os.waitpid(launched.pid, 0)
        raise
    return 0 if detach else run.wait(launched, console)


def _running(call: Call) -> state.State:
    found = state.load(call.root, call.id)
    now = state.status(call.root, found)
    if now == "paused" and not call.flag("ignore-paused"):
        raise RuntimeFailure(f"cannot exec in a paused container: {found.id} (resume it, or --ignore-paused)")
    if now in ("stopped", "creating"):
        raise RuntimeFailure(f"cannot exec in container {found.id}: it is {now} (cannot exec in a stopped container)")
    return found


def _enter(call: Call, found: state.State, process: dict[str, Any], tty: bool, *, plain: bool) -> Launched:
    from orchestr.runtime import users
    from orchestr.runtime.enter import enter

    linux = found.config.get("linux") or {}
    seccomp = linux.get("seccomp")
    if seccomp:
        filters.prepare(seccomp)
    return enter(
        *(found.pid, found.cgroup, None, process, (0, 1, 2), tty),
        seccomp=seccomp,
        name=found.id,
        plain=plain,
        preserve=handover.preserved(call),
        linux=linux,
        below=_below(call),
        listener=seccomp_agent.told_by(found.config, _told(found)),
        keep_groups=users.keeps_groups(found.config),
    )


def _told(found: state.State) -> dict[str, Any]:
    """The container's state, as the specification has it."""
    return {
        "ociVersion": str(found.config["ociVersion"]),
        "id": found.id,
        "status": "running",
        "pid": found.pid,
        "bundle": found.bundle,
        "annotations": found.config.get("annotations") or {},
    }


def _below(call: Call) -> dict[str, str]:
    """--cgroup [CONTROLLER,...:]PATH: by controller, "" for all."""
    found: dict[str, str] = {}
    for item in call.options.get("cgroup", ()):
        controllers, _, path = item.rpartition(":")
        found.update((name, path) for name in controllers.split(","))
    return found


def described(call: Call, found: state.State) -> dict[str, Any]:
    """The OCI process: of a file, or the container's own with what the options change. Options win over a file, too."""
    if path := call.text("process"):
        process = _read(path)
    else:
        if len(call.words) < 2:
            raise RuntimeFailure("cannot exec: process args cannot be empty (give a command, or --process FILE)")
        process = {**(found.config.get("process") or {}), "args": call.words[1:], "terminal": False}
        for key in ("consoleSize", "commandLine"):
            process.pop(key, None)
    changed: dict[str, Any] = {}
    if call.flag("tty"):
        changed["terminal"] = True
    if call.flag("cwd"):
        changed["cwd"] = call.text("cwd")
    if call.flag("env"):
        changed["env"] = environment(process.get("env") or (), call.options["env"])
    if call.flag("user") or call.flag("additional-gids"):
        changed["user"] = user(process.get("user") or {}, call)
    if call.flag("cap"):
        changed["capabilities"] = capabilities(process.get("capabilities") or {}, call.options["cap"])
    if call.flag("no-new-privs"):
        changed["noNewPrivileges"] = True
    for option, key in (("apparmor", "apparmorProfile"), ("process-label", "selinuxLabel")):
        if call.flag(option):
            changed[key] = call.text(option)
    return {**process, **changed}


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path) as file:
            process = lean.loads(file.read())
    except (OSError, ValueError) as error:
        raise RuntimeFailure(f"cannot read process {path}: {error}") from error
    if not isinstance(process, dict) or not process.get("args"):
        raise RuntimeFailure(f"cannot exec {path}: process args cannot be empty (name them in /args)")
    config.check_process(process)
    return process


def environment(own: Any, added: list[str]) -> list[str]:
    """The last one of a name wins, as in a shell."""
    names = {str(item).partition("=")[0]: str(item) for item in (*own, *added)}
    return list(names.values())


def user(own: Mapping[str, Any], call: Call) -> dict[str, Any]:
    changed = dict(own)
    if call.flag("user"):
        uid, _, gid = call.text("user").partition(":")
        if uid.isdigit() and (not gid or gid.isdigit()):
            changed = {"uid": int(uid), "gid": int(gid or own.get("gid", 0))}
        else:
            changed = {"username": call.text("user")}
        if "umask" in own:
            changed["umask"] = own["umask"]
    if call.flag("additional-gids"):
        groups = call.options["additional-gids"]
        if not all(item.isdigit() for item in groups):
            raise RuntimeFailure(f"cannot add group {' '.join(groups)}: not a number")
        changed["additionalGids"] = [int(item) for item in groups]
    return changed


def capabilities(own: Mapping[str, Any], added: list[str]) -> dict[str, Any]:
    """To all sets that a process of its user can use; ambient only where it is inheritable, as the kernel wants it."""
    names = [f"CAP_{item.upper().removeprefix('CAP_')}" for item in added]
    changed = {}
    for kind in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        held = list(own.get(kind) or ())
        extra = kind in ("bounding", "effective", "permitted") or (kind == "ambient" and own.get("inheritable"))
        extra = extra or (kind == "inheritable" and held)
        changed[kind] = [*held, *(name for name in names if name not in held)] if extra else held
    return changed


COMMANDS: Final = {
    "exec": Command(
        exec_, "run a process in a container", "ID [COMMAND...]", OPTIONS, in_order=True, extra=True, reaches=True
    )
}
