"""What the runtime specification says of config.json as a table, and the check of a file against it.

A check takes a decoded JSON value and raises _Wrong; each level that this passes through puts its key before the
pointer, so that a configuration without a fault, which is all of them but a few, pays for no pointer. Unknown
properties are ignored (config.md "Extensibility"). A property that is null is taken out: for Go's decoders, which
callers write for, it is as good as absent.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from orchestr.runtime import lean
from orchestr.runtime.seam import RuntimeFailure

Check = Callable[[Any], None]
MAJOR: Final = 1  # of the specification


class _Wrong(Exception):
    """`keys` is the JSON pointer, innermost first."""

    def __init__(self, text: str, hint: str = "") -> None:
        self.text, self.hint = text, hint
        self.keys: list[str] = []

    def at(self, key: object) -> "_Wrong":
        self.keys.append(str(key).replace("~", "~0").replace("/", "~1"))
        return self


def _shown(value: Any) -> str:
    text = lean.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def text(value: Any) -> None:
    if type(value) is not str:
        raise _Wrong(f"must be a string, is {_shown(value)}")
    if "\0" in value:
        raise _Wrong(f"must not have a NUL in it, is {_shown(value)}")
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise _Wrong(f"must be Unicode text without lone surrogates, is {_shown(value)}")


def flag(value: Any) -> None:
    if type(value) is not bool:
        raise _Wrong(f"must be true or false, is {_shown(value)}")


def number(low: int, high: int) -> Check:
    def check(value: Any) -> None:
        if type(value) is not int or not low <= value <= high:
            raise _Wrong(f"must be a number from {low} to {high}, is {_shown(value)}")

    return check


def one_of(*names: str) -> Check:
    known = frozenset(names)

    def check(value: Any) -> None:
        if type(value) is str and value in known:
            return
        from difflib import get_close_matches

        near = get_close_matches(str(value).upper(), names, 1) or get_close_matches(str(value), names, 1)
        hint = f"did you mean {near[0]}?" if near else ""
        raise _Wrong(f"must be one of {', '.join(filter(None, names))}, is {_shown(value)}", hint)

    return check


def pattern(expression: str, meaning: str) -> Check:
    def check(value: Any) -> None:

        text(value)
        import re  # what has a pattern is rare

        if not re.fullmatch(expression, value, re.ASCII):
            raise _Wrong(f"must be {meaning}, is {_shown(value)}")

    return check


def absolute(value: Any) -> None:
    text(value)
    if not value.startswith("/"):
        raise _Wrong(f"must be an absolute path, is {_shown(value)}")


def array(item: Check, unique: str = "") -> Check:
    """`unique` names the property by which no two items may be the same."""

    def check(value: Any) -> None:
        if type(value) is not list:
            raise _Wrong(f"must be an array, is {_shown(value)}")
        index = 0
        try:
            for index, entry in enumerate(value):  # noqa: B007
                item(entry)
        except _Wrong as wrong:
            raise wrong.at(index) from None
        if unique:
            _no_two(value, unique)

    return check


def texts(value: Any) -> None:
    """An array of strings. Most of a configuration is these (names of system calls), so first all of one at once."""
    if type(value) is list:
        try:
            joined = "".join(value)
        except TypeError:
            pass
        else:
            if joined.isascii() and "\0" not in joined:
                return
    _each_text(value)


def _no_two(items: list[dict[str, Any]], key: str) -> None:
    seen: set[str] = set()
    for index, item in enumerate(items):
        if item[key] in seen:
            raise _Wrong(f"is there twice: {_shown(item[key])}", "leave one out").at(key).at(index)
        seen.add(item[key])


def filled(inner: Check) -> Check:
    def check(value: Any) -> None:
        inner(value)
        if not value:
            raise _Wrong("must not be empty")

    return check


def mapping(item: Check, keys: Check | None = None) -> Check:
    """An object whose keys are free, or what `keys` says; an empty one names nothing."""

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise _Wrong(f"must be an object, is {_shown(value)}")
        for key, entry in value.items():
            try:
                (keys or text)(key)
                if not key:
                    raise _Wrong("must not have an empty key")
                item(entry)
            except _Wrong as wrong:
                raise wrong.at(key) from None

    return check


def table(fields: Mapping[str, Check], *required: str) -> Check:
    known = fields.get

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise _Wrong(f"must be an object, is {_shown(value)}")
        key = ""
        try:
            for key, entry in value.items():
                if entry is not None and (inner := known(key)):
                    inner(entry)
            if None in value.values():
                for key in [key for key, entry in value.items() if entry is None]:
                    del value[key]
            for key in required:
                if key not in value:
                    raise _Wrong("is missing", "add it")
        except _Wrong as wrong:
            raise wrong.at(key) from None

    return check


_each_text: Final = array(text)
U16, U32, U64 = number(0, 2**16 - 1), number(0, 2**32 - 1), number(0, 2**64 - 1)
I32, I64 = number(-(2**31), 2**31 - 1), number(-(2**63), 2**63 - 1)
TEXT_MAP: Final = mapping(text)
CPUS: Final = pattern("[0-9, -]*", "a list of CPUs such as 0-3,7")

_RLIMITS: Final = (
    "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME".split()  # noqa: SIM905
)
PROCESS: Final = table(
    {
        "terminal": flag,
        "consoleSize": table({"height": U16, "width": U16}, "height", "width"),  # struct winsize of ioctl_tty(2)
        "cwd": absolute,
        "env": texts,
        "args": filled(texts),
        "user": table(
            {"uid": U32, "gid": U32, "umask": U32, "additionalGids": array(U32), "username": text},
        ),
        "rlimits": array(
            table(
                {"type": one_of(*(f"RLIMIT_{name}" for name in _RLIMITS)), "soft": U64, "hard": U64},
                *("type", "soft", "hard"),
            ),
            "type",
        ),
        "capabilities": table(
            dict.fromkeys(("bounding", "permitted", "effective", "inheritable", "ambient"), texts),
        ),
        "noNewPrivileges": flag,
        "apparmorProfile": text,
        "selinuxLabel": text,
        "oomScoreAdj": number(-1000, 1000),
        "ioPriority": table(
            {"class": one_of("IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"), "priority": I32}, "class"
        ),
        "scheduler": table(
            {
                "policy": one_of(
                    "SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE"
                ),
                "nice": I32,
                "priority": I32,
                "flags": array(
                    one_of(
                        "SCHED_FLAG_RESET_ON_FORK",
                        "SCHED_FLAG_RECLAIM",
                        "SCHED_FLAG_DL_OVERRUN",
                        "SCHED_FLAG_KEEP_POLICY",
                        "SCHED_FLAG_KEEP_PARAMS",
                        "SCHED_FLAG_UTIL_CLAMP_MIN",
                        "SCHED_FLAG_UTIL_CLAMP_MAX",
                    )
                ),
                **dict.fromkeys(("runtime", "deadline", "period"), U64),
            },
            "policy",
        ),
        "execCPUAffinity": table({"initial": CPUS, "final": CPUS}),
    },
    *("cwd", "args"),
)

_DEVICE: Final = {"major": I64, "minor": I64}
_THROTTLES: Final = array(table({**_DEVICE, "rate": U64}, "major", "minor"))
RESOURCES: Final = table(
    {
        "unified": TEXT_MAP,
        "devices": array(
            table({"allow": flag, "type": one_of("", "a", "b", "c"), **_DEVICE, "access": text}, "allow"),
        ),
        "pids": table({"limit": I64}),
        "blockIO": table(
            {
                "weight": U16,
                "leafWeight": U16,
                "weightDevice": array(table({**_DEVICE, "weight": U16, "leafWeight": U16}, "major", "minor")),
                "throttleReadBpsDevice": _THROTTLES,
                "throttleWriteBpsDevice": _THROTTLES,
                "throttleReadIOPSDevice": _THROTTLES,
                "throttleWriteIOPSDevice": _THROTTLES,
            }
        ),
        "cpu": table(
            {
                "cpus": text,
                "mems": text,
                **dict.fromkeys(("period", "burst", "realtimePeriod", "shares"), U64),
                **dict.fromkeys(("quota", "realtimeRuntime", "idle"), I64),
            }
        ),
        "hugepageLimits": array(
            table({"pageSize": pattern("[1-9][0-9]*[KMG]B", "a size such as 2MB"), "limit": U64}, "pageSize", "limit")
        ),
        "memory": table(
            {
                **dict.fromkeys(("limit", "reservation", "swap", "kernel", "kernelTCP"), I64),
                "swappiness": U64,
                **dict.fromkeys(("disableOOMKiller", "useHierarchy", "checkBeforeUpdate"), flag),
            }
        ),
        "network": table(
            {"classID": U32, "priorities": array(table({"name": text, "priority": U32}, "name", "priority"))}
        ),
        "rdma": mapping(table({"hcaHandles": U32, "hcaObjects": U32})),
    }
)

ACTIONS: Final = tuple(
    f"SCMP_ACT_{name}"
    for name in ("KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY")
)
ARCHITECTURES: Final = tuple(
    f"SCMP_ARCH_{name}"
    for name in (  # noqa: SIM905
        "X86 X86_64 X32 ARM AARCH64 LOONGARCH64 M68K MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64"
        " PPC64LE S390 S390X SH SHEB PARISC PARISC64 RISCV64"
    ).split()
)
OPERATORS: Final = tuple(f"SCMP_CMP_{name}" for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"))
FLAGS: Final = tuple(f"SECCOMP_FILTER_FLAG_{name}" for name in ("TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"))
_ERRNO: Final = U16  # SECCOMP_RET_DATA of seccomp(2)
_ARGUMENT: Final = {"index": number(0, 5), "value": U64, "valueTwo": U64, "op": one_of(*OPERATORS)}
SECCOMP: Final = table(
    {
        "defaultAction": one_of(*ACTIONS),
        "defaultErrnoRet": _ERRNO,
        "flags": array(one_of(*FLAGS)),
        "listenerPath": text,
        "listenerMetadata": text,
        "architectures": array(one_of(*ARCHITECTURES)),
        "syscalls": array(
            table(
                {
                    "names": filled(texts),
                    "action": one_of(*ACTIONS),
                    "errnoRet": _ERRNO,
                    "args": array(table(_ARGUMENT, "index", "value", "op")),
                },
                *("names", "action"),
            )
        ),
    },
    "defaultAction",
)

_MAPPINGS: Final = array(
    table(
        {"containerID": U32, "hostID": U32, "size": number(1, 2**32 - 1)},
        *("containerID", "hostID", "size"),
    )
)
_PROPAGATIONS: Final = ("private", "shared", "slave", "unbindable")
LINUX: Final = table(
    {
        "namespaces": array(
            table(
                {
                    "type": one_of("mount", "pid", "network", "uts", "ipc", "user", "cgroup", "time"),
                    "path": text,
                },
                "type",
            ),
            "type",
        ),
        "uidMappings": _MAPPINGS,
        "gidMappings": _MAPPINGS,
        "timeOffsets": mapping(table({"secs": I64, "nanosecs": number(0, 10**9 - 1)}), one_of("boottime", "monotonic")),
        "devices": array(
            table(
                # fileMode: callers leave the type's bits in, against the schema
                {"type": one_of("c", "b", "u", "p"), "path": text, **_DEVICE, "fileMode": U32, "uid": U32, "gid": U32},
                *("type", "path"),
            )
        ),
        "netDevices": mapping(table({"name": text})),
        "cgroupsPath": text,
        "resources": RESOURCES,
        "intelRdt": table(
            {
                **dict.fromkeys(("closID", "l3CacheSchema", "memBwSchema"), text),
                "schemata": texts,
                "enableMonitoring": flag,
            }
        ),
        "memoryPolicy": table(
            {
                "mode": one_of(
                    "MPOL_DEFAULT",
                    "MPOL_BIND",
                    "MPOL_INTERLEAVE",
                    "MPOL_WEIGHTED_INTERLEAVE",
                    "MPOL_PREFERRED",
                    "MPOL_PREFERRED_MANY",
                    "MPOL_LOCAL",
                ),
                "nodes": text,
                "flags": array(one_of("MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES")),
            },
            "mode",
        ),
        "sysctl": TEXT_MAP,
        "seccomp": SECCOMP,
        "rootfsPropagation": one_of("", *_PROPAGATIONS, *(f"r{name}" for name in _PROPAGATIONS)),
        "maskedPaths": texts,
        "readonlyPaths": texts,
        "mountLabel": text,
        "personality": table({"domain": one_of("LINUX", "LINUX32"), "flags": texts}, "domain"),
    }
)

HOOKS: Final = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_HOOK_LIST: Final = array(
    table({"path": absolute, "args": texts, "env": texts, "timeout": number(1, 2**31 - 1)}, "path")  # seconds
)
CONFIG: Final = table(
    {
        "ociVersion": text,
        "root": table({"path": filled(text), "readonly": flag}, "path"),
        "mounts": array(
            table(
                {
                    "destination": filled(text),
                    "type": text,
                    "source": text,
                    "options": texts,
                    "uidMappings": _MAPPINGS,
                    "gidMappings": _MAPPINGS,
                },
                "destination",
            )
        ),
        "process": PROCESS,
        "hostname": text,
        "domainname": text,
        "hooks": table(dict.fromkeys(HOOKS, _HOOK_LIST)),
        "annotations": TEXT_MAP,
        "linux": LINUX,
    },
    *("ociVersion", "root"),
)


def read(bundle: str, other: str = "") -> dict[str, Any]:
    """BUNDLE/config.json, every property of a type and in a range that the specification allows. RuntimeFailure.

    `other`: another file, from the caller's directory, as with crun; the plain name config.json is the bundle's.
    """
    path = os.path.join(bundle, "config.json") if other in ("", "config.json") else other
    try:
        with open(path, "rb") as file:
            config = lean.loads(file.read().decode())
    except OSError as error:
        raise RuntimeFailure(f"cannot read {path}: {error.strerror} (is this a bundle?)") from error
    except (ValueError, RecursionError) as error:
        raise RuntimeFailure(f"cannot read {path}: not JSON: {error}") from error
    _run(path, config, CONFIG, _version, _root(bundle), _listener)
    return config  # type: ignore[no-any-return]


def check_process(data: Any, what: str = "the process") -> None:
    """An OCI `process`, as `exec --process` takes it. RuntimeFailure that begins "cannot use `what`: "."""
    _run(what, data, PROCESS)


def check_resources(data: Any, what: str = "the resources") -> None:
    """OCI `linux.resources`, as `update --resources` takes them."""
    _run(what, data, RESOURCES)


def _run(what: str, data: Any, *checks: Check) -> None:
    try:
        for check in checks:
            check(data)
    except _Wrong as wrong:
        pointer = "".join(f"/{key}" for key in reversed(wrong.keys))
        document = "config-linux.md" if pointer.startswith("/linux") else "config.md"
        hint = wrong.hint or f"see {document} of the runtime specification"
        raise RuntimeFailure(f"cannot use {what}: {pointer or 'the whole'}: {wrong.text} ({hint})") from None


def _version(config: dict[str, Any]) -> None:
    """Semantic versioning 2.0.0: three numbers, then "-" and what comes before a release, "+" and a build."""
    told = str(config["ociVersion"])
    numbers = told.partition("+")[0].partition("-")[0].split(".")
    fine = len(numbers) == 3 and all(n.isdigit() and (n == "0" or n[0] != "0") for n in numbers)
    if not fine or not told.isascii() or int(numbers[0]) != MAJOR:
        raise _Wrong(f"must be a version {MAJOR}.x.y of the specification, is {_shown(told)}").at("ociVersion")


def _root(bundle: str) -> Check:
    def check(config: dict[str, Any]) -> None:
        path = os.path.join(bundle, config["root"]["path"])
        if not os.path.isdir(path):
            raise _Wrong(f"must be a directory, is {_shown(path)}", "unpack the image there").at("path").at("root")

    return check


def _listener(config: dict[str, Any]) -> None:
    seccomp = (config.get("linux") or {}).get("seccomp") or {}
    if seccomp.get("listenerMetadata") and not seccomp.get("listenerPath"):
        raise _Wrong("must not be there without listenerPath").at("listenerMetadata").at("seccomp").at("linux")
