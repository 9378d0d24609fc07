"""spec: a config.json to begin with."""

import os
from typing import Any, Final

from orchestr.runtime import cgroups
from orchestr.runtime.oci.options import Call, Command, Option
from orchestr.runtime.process import DEFAULT_PATH
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.spec import default_spec

_KINDS: Final = ("pid", "network", "ipc", "uts", "mount")
# As runc's and crun's: whoever starts from this file adds what his program needs, and a filter.
_CAPABILITIES: Final = ("AUDIT_WRITE", "KILL", "NET_BIND_SERVICE")


def spec(call: Call) -> int:
    import json

    config = default(os.geteuid(), os.getegid(), rootless=call.flag("rootless"))
    path = os.path.join(call.text("bundle", "."), "config.json")
    try:
        with open(path, "x") as file:
            file.write(json.dumps(config, indent="\t") + "\n")
    except FileExistsError as error:
        raise RuntimeFailure(f"cannot write {path}: File exists. Remove it first") from error
    return 0


def default(uid: int, gid: int, *, rootless: bool) -> dict[str, Any]:
    config = default_spec(
        *(["sh"], [f"PATH={DEFAULT_PATH}", "TERM=xterm"]),
        cap_drop=("ALL",),
        cap_add=_CAPABILITIES,
        seccomp=False,
        terminal=True,
        rlimits=[{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
    )
    config["root"] = {"path": "rootfs", "readonly": True}
    config["hostname"] = "orch"
    linux = config["linux"]
    # As runc: with cgroup v1 hierarchies a tool inside may look for the paths that /proc/PID/cgroup names.
    kinds = (*_KINDS, "cgroup") if cgroups.layout().v2_controllers else _KINDS
    linux["namespaces"] = [{"type": kind} for kind in kinds]
    return _rootless(config, uid, gid) if rootless else config


def _rootless(config: dict[str, Any], uid: int, gid: int) -> dict[str, Any]:
    """An ordinary user maps himself alone, has no network namespace that could be wired, and no cgroups to write."""
    linux = config["linux"]
    linux["namespaces"] = [{"type": kind} for kind in (*_KINDS, "cgroup", "user") if kind != "network"]
    linux["uidMappings"] = [{"containerID": 0, "hostID": uid, "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": gid, "size": 1}]
    linux.pop("resources", None)
    bound = {"destination": "/sys", "type": "none", "source": "/sys"}
    bound |= {"options": ["rbind", "nosuid", "noexec", "nodev", "ro"]}  # type: ignore[dict-item]
    for mount in config["mounts"]:  # group 5 is not mapped
        mount["options"] = [item for item in mount.get("options") or () if item != "gid=5"]
    config["mounts"] = [bound if mount["destination"] == "/sys" else mount for mount in config["mounts"]]
    return config


COMMANDS: Final = {
    "spec": Command(
        spec,
        "write a config.json to begin with",
        "",
        {
            "bundle": Option("where to (default: here)", "DIR", "b"),
            "rootless": Option("one that an ordinary user can run"),
        },
    )
}
