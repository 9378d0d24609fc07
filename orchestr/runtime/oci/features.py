"""features: what this runtime can do, in the form of the runtime specification's features.md, from the code's tables.

"The Features structure is irrelevant to the actual availability of the features in the host operating system": AppArmor
is there where labels are written, not where the kernel has it.
"""

from typing import Any, Final

from orchestr import __version__
from orchestr.runtime import capabilities, memorypolicy, mountopts, seccomp, seccomp_compile
from orchestr.runtime.cgroups import limits, properties
from orchestr.runtime.oci import bundle, config, help, namespaces
from orchestr.runtime.oci.options import Call, Command

_NEWEST: Final = "1.3.0"  # netDevices and memoryPolicy are of it


def features(call: Call) -> int:
    import json

    print(json.dumps(described(), indent=2))
    return 0


def described() -> dict[str, Any]:
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": _NEWEST,
        "hooks": list(config.HOOKS),
        "mountOptions": mount_options(),
        "linux": {
            "namespaces": sorted(namespaces.FLAGS),
            "capabilities": list(capabilities.BITS),
            "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": False, "rdma": _rdma()},
            "seccomp": filters(),
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "memoryPolicy": {"modes": list(memorypolicy.MODES), "flags": list(memorypolicy.FLAGS)},
            "intelRdt": {"enabled": False},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "annotations": _annotations(),
        "potentiallyUnsafeConfigAnnotations": [bundle.STRICT_CALLS, properties.PREFIX],
    }


def _rdma() -> bool:
    return any(each.name == "rdma" for each in limits.CONTROLLERS)


def _annotations() -> dict[str, str]:
    found = {"dev.orchestr.version": __version__}
    if version := help.libseccomp_version():
        found["io.github.seccomp.libseccomp.version"] = version
    return found


def mount_options() -> list[str]:
    """Of the tables that read them: what is here is done."""
    attributes = mountopts._ATTRS
    propagation = mountopts._PROPAGATION
    plain = {"bind", "rbind", "idmap", "ridmap", *mountopts._NOTHING, *mountopts._SUPERBLOCK, *mountopts._SWITCHES}
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
