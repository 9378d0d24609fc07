"""features: what this runtime can do, in the form of the runtime specification's features.md."""

from typing import Any, Final

from orchestr import __version__
from orchestr.runtime import capabilities, mountopts, seccomp, seccomp_compile
from orchestr.runtime.oci import command, config, help
from orchestr.runtime.oci.options import Call, Command

_HOOKS: Final = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
_KINDS: Final = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]


def features(call: Call) -> int:
    import json

    print(json.dumps(described(), indent=2))
    return 0


def described() -> dict[str, Any]:
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": command.VERSION,
        "hooks": _HOOKS,
        "mountOptions": mount_options(),
        "linux": {
            "namespaces": _KINDS,
            "capabilities": list(capabilities.BITS),
            "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": False, "rdma": True},
            "seccomp": filters(),
            "apparmor": {"enabled": False},
            "selinux": {"enabled": False},
            "intelRdt": {"enabled": False},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": False},
        },
        "annotations": _annotations(),
        "potentiallyUnsafeConfigAnnotations": [],
    }


def _annotations() -> dict[str, str]:
    found = {"dev.orchestr.version": __version__}
    if version := help.libseccomp_version():
        found["io.github.seccomp.libseccomp.version"] = version
    return found


def mount_options() -> list[str]:
    """Of the tables that read them: what is here is done."""
    attributes = mountopts._ATTRS
    propagation = mountopts._PROPAGATION
    plain = {"bind", "rbind", "idmap", "ridmap", *mountopts._NOTHING}
    return sorted({*attributes, *(f"r{name}" for name in (*attributes, *propagation)), *propagation, *plain})


def filters() -> dict[str, Any]:
    """What the installed libseccomp knows."""
    library = help.libseccomp()
    if library is None:
        return {"enabled": False}
    return {
        "enabled": True,
        "actions": sorted(seccomp_compile.ACTIONS),
        "operators": sorted(seccomp_compile.OPERATORS),
        "archs": [
            name
            for name in sorted(config.ARCHITECTURES)
            if library.seccomp_arch_resolve_name(name[10:].lower().encode())
        ],
        "knownFlags": sorted(seccomp._FLAGS),
        "supportedFlags": sorted(seccomp._FLAGS),
    }


COMMANDS: Final = {"features": Command(features, "print what this runtime can do, as JSON", "")}
