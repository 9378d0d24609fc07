"""The commands of orch-oci, each a function of the root directory, its options and words; the exit code comes back."""

import json
import os
import socket
import sys
import time
from contextlib import suppress
from typing import Any, Final

from orchestr.runtime import cgroups, seccomp_profile
from orchestr.runtime.enter import enter
from orchestr.runtime.launch import start as launch
from orchestr.runtime.oci import bundle, filters, options, state
from orchestr.runtime.oci.options import Options
from orchestr.runtime.seam import RuntimeFailure, SandboxSpec
from orchestr.runtime.spawn import Launched
from orchestr.runtime.spec import default_spec

VERSION: Final = "1.2.0"  # of the runtime specification
USAGE: Final = "usage: orch-oci [--root DIR] [--log FILE] [--log-format text|json] COMMAND [OPTIONS] [ID] [ARGS]"


def run(argv: list[str]) -> int:
    common: Options = {}
    command = ""
    try:
        common, command, given, words = options.parse(argv)
        root = common.get("root", ["/run/orch-oci"])[-1]
        return COMMANDS[command](root, given, words)
    except (RuntimeFailure, OSError) as error:
        _tell(common, str(error))
        known = error.exit_code if isinstance(error, RuntimeFailure) and command in ("run", "exec") else None
        return known or 1


def _tell(common: Options, text: str) -> None:
    sys.stderr.write(f"{text}\n")
    for path in common.get("log", [])[-1:]:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with suppress(OSError), open(path, "a") as file:
            file.write(json.dumps({"level": "error", "msg": text, "time": now}) + "\n")


def _id(words: list[str]) -> str:
    if not words:
        raise RuntimeFailure(f"cannot tell which container: no id given ({USAGE})")
    return words[0]


def create(root: str, given: Options, words: list[str]) -> int:
    _create(root, given, _id(words))
    return 0


def _create(root: str, given: Options, id: str) -> Launched:
    where = os.path.abspath(given.get("bundle", ["."])[-1])
    found = bundle.read(where, id)
    if (found.config.get("process") or {}).get("terminal") and "console-socket" not in given:
        raise RuntimeFailure("cannot give a terminal without --console-socket: not supported")
    path = state.make(root, id)
    gate = os.open(f"{path}/start", os.O_RDWR | os.O_CLOEXEC)
    try:
        user = (found.config.get("process") or {}).get("user") or {}
        base = 0 if found.sandbox.host_users else found.sandbox.uid_base
        with cgroups.placed(found.config, found.sandbox.cgroup, base + int(user.get("uid") or 0)):
            launched = _launch(found, gate)
            _note(root, where, found, launched)
            _hand_over(given, launched)
        return launched
    except BaseException:
        state.forget(root, id)
        raise
    finally:
        os.close(gate)


def _launch(found: bundle.Bundle, gate: int) -> Launched:
    opened = bundle.prepare(found, gate)
    try:
        return launch(opened.target, found.config, (0, 1, 2))
    finally:
        opened.close()


def _note(root: str, where: str, found: bundle.Bundle, launched: Launched) -> None:
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sandbox = found.sandbox
    state.save(
        root,
        state.State(
            id=sandbox.id,
            pid=launched.pid,
            start_time=state.start_time(launched.pid),
            bundle=where,
            cgroup=sandbox.cgroup,
            created=created,
            uid_base=sandbox.uid_base,
            host_users=sandbox.host_users,
            config=found.config,
        ),
    )


def _hand_over(given: Options, launched: Launched) -> None:
    """The terminal to the console socket, then the pid to its file."""
    if launched.console >= 0:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
            end.connect(given["console-socket"][-1])
            socket.send_fds(end, [b"/dev/ptmx"], [launched.console])
        os.close(launched.console)
    for path in given.get("pid-file", [])[-1:]:
        state.write(path, str(launched.pid))


def start(root: str, given: Options, words: list[str]) -> int:
    found = state.load(root, _id(words))
    if (now := state.status(root, found)) != "created":
        raise RuntimeFailure(f"cannot start container {found.id}: it is {now}, not created")
    path = f"{state.directory(root, found.id)}/start"
    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.unlink(path)
    os.write(fd, b"1")
    os.close(fd)
    return 0


def run_(root: str, given: Options, words: list[str]) -> int:
    launched = _create(root, given, _id(words))
    start(root, {}, words)
    if "detach" in given:
        return 0
    code = os.waitstatus_to_exitcode(os.waitpid(launched.pid, 0)[1])
    delete(root, {"force": [""]}, words)
    return code if code >= 0 else 128 - code


def _view(root: str, found: state.State) -> dict[str, Any]:
    now = state.status(root, found)
    return {
        "ociVersion": VERSION,
        "id": found.id,
        "pid": 0 if now == "stopped" else found.pid,
        "status": now,
        "bundle": found.bundle,
        "created": found.created,
        "annotations": found.config.get("annotations") or {},
    }


def state_(root: str, given: Options, words: list[str]) -> int:
    print(json.dumps(_view(root, state.load(root, _id(words))), indent=2))
    return 0


def kill(root: str, given: Options, words: list[str]) -> int:
    import signal

    found = state.load(root, _id(words))
    word = words[1] if len(words) > 1 else "TERM"
    try:
        number = int(word) if word.isdigit() else signal.Signals[f"SIG{word.upper().removeprefix('SIG')}"].value
    except KeyError as error:
        raise RuntimeFailure(f"cannot send signal {word}: no such signal") from error
    if state.status(root, found) == "stopped":
        raise RuntimeFailure(f"cannot kill container {found.id}: container not running")
    for pid in cgroups.processes(found.cgroup) if "all" in given else [found.pid]:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    return 0


def delete(root: str, given: Options, words: list[str]) -> int:
    force = "force" in given
    try:
        found = state.load(root, _id(words))
    except RuntimeFailure:
        if force:
            return 0
        raise
    if (now := state.status(root, found)) != "stopped" and not force:
        raise RuntimeFailure(f"cannot delete container {found.id}: it is {now} (kill it first, or --force)")
    cgroups.kill_all(found.cgroup)
    cgroups.remove(found.cgroup)
    state.forget(root, found.id)
    return 0


def exec_(root: str, given: Options, words: list[str]) -> int:
    found = state.load(root, _id(words))
    if (now := state.status(root, found)) != "running":
        raise RuntimeFailure(f"cannot exec in container {found.id}: it is {now}, not running")
    process = _process(found, given, words[1:])
    tty = bool(process.get("terminal"))
    if tty and "console-socket" not in given:
        raise RuntimeFailure("cannot give a terminal without --console-socket: not supported")
    sandbox = SandboxSpec(found.id, "", found.cgroup, host_users=found.host_users, uid_base=found.uid_base)
    seccomp = (found.config.get("linux") or {}).get("seccomp")
    if seccomp:
        filters.prepare(seccomp)
    launched = enter(found.pid, found.cgroup, sandbox, process, (0, 1, 2), tty, seccomp=seccomp, name=found.id)
    _hand_over(given, launched)
    if "detach" in given:
        return 0
    code = os.waitstatus_to_exitcode(os.waitpid(launched.pid, 0)[1])
    return code if code >= 0 else 128 - code


def _process(found: state.State, given: Options, args: list[str]) -> dict[str, Any]:
    if "process" in given:
        with open(given["process"][-1]) as file:
            process: dict[str, Any] = json.load(file)
            return process
    own = found.config.get("process") or {}
    process = {**own, "args": args, "terminal": False, "env": [*(own.get("env") or ()), *given.get("env", [])]}
    if "cwd" in given:
        process["cwd"] = given["cwd"][-1]
    if "user" in given:
        process["user"] = {"username": given["user"][-1]}
    return process


def list_(root: str, given: Options, words: list[str]) -> int:
    ids = sorted(os.listdir(root)) if os.path.isdir(root) else []
    views = [_view(root, state.load(root, id)) for id in ids if os.path.exists(f"{root}/{id}/state.json")]
    if "quiet" in given:
        print(*(view["id"] for view in views), sep="\n")
    elif given.get("format", ["table"])[-1] == "json":
        print(json.dumps(views))
    else:
        for view in ({"id": "ID", "pid": "PID", "status": "STATUS", "bundle": "BUNDLE"}, *views):
            print(f"{view['id']:<24} {view['pid']:<8} {view['status']:<10} {view['bundle']}")
    return 0


def ps(root: str, given: Options, words: list[str]) -> int:
    pids = cgroups.processes(state.load(root, _id(words)).cgroup)
    print(json.dumps(pids) if given.get("format", ["table"])[-1] == "json" else "\n".join(map(str, pids)))
    return 0


def pause(root: str, given: Options, words: list[str]) -> int:
    cgroups.freeze(state.load(root, _id(words)).cgroup)
    return 0


def resume(root: str, given: Options, words: list[str]) -> int:
    cgroups.thaw(state.load(root, _id(words)).cgroup)
    return 0


def update(root: str, given: Options, words: list[str]) -> int:
    source = given.get("resources", ["-"])[-1]
    if source == "-":
        resources = json.load(sys.stdin)
    else:
        with open(source) as file:
            resources = json.load(file)
    cgroups.update(state.load(root, _id(words)).cgroup, resources)
    return 0


def spec(root: str, given: Options, words: list[str]) -> int:
    config = default_spec(["sh"], ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
    config["root"] = {"path": "rootfs", "readonly": True}
    config["hostname"] = "orch"
    kinds = ("pid", "network", "ipc", "uts", "mount", "cgroup")
    config["linux"]["namespaces"] = [{"type": kind} for kind in kinds]
    config["linux"]["seccomp"] = seccomp_profile.default(config["process"]["capabilities"]["bounding"])
    path = f"{given.get('bundle', ['.'])[-1]}/config.json"
    with open(path, "x") as file:
        json.dump(config, file, indent=2)
    return 0


def plan_(root: str, given: Options, words: list[str]) -> int:
    from orchestr.runtime.oci import plan

    found = plan.of(given.get("bundle", ["."])[-1], *words[:1])
    print(json.dumps(plan.data(found)) if given.get("format", ["text"])[-1] == "json" else plan.text(found))
    return 0


def features(root: str, given: Options, words: list[str]) -> int:
    from orchestr.runtime import capabilities

    kinds = ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"]
    linux = {"namespaces": kinds, "capabilities": list(capabilities.BITS), "seccomp": {"enabled": True}}
    print(json.dumps({"ociVersionMin": "1.0.0", "ociVersionMax": VERSION, "linux": linux}, indent=2))
    return 0


def help_(root: str, given: Options, words: list[str]) -> int:
    print(f"{USAGE}\ncommands: {', '.join(options.COMMANDS)}")
    return 0


COMMANDS: Final = {
    "create": create,
    "run": run_,
    "start": start,
    "state": state_,
    "kill": kill,
    "delete": delete,
    "exec": exec_,
    "list": list_,
    "ps": ps,
    "pause": pause,
    "resume": resume,
    "update": update,
    "spec": spec,
    "features": features,
    "plan": plan_,
    "help": help_,
}
