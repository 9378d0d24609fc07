"""What `orch run` takes of `docker run` and `docker compose run`: a table of options, each a key of a Compose service.

So an option means what the key means in a file, and what a file cannot have an option cannot have either, for the
same reason. Options that are no property of a service (-d, --rm, --name, ...) are run.py's.
"""

import argparse
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from orchestr.cli.errors import Bad

Service = dict[str, Any]  # in Compose's spelling


class Option(NamedTuple):
    flags: tuple[str, ...]
    key: str  # of the service; dotted
    form: str = "text"  # text, flag, list, or pairs: NAME=VALUE
    metavar: str = "VALUE"
    help: str = ""


ENV = Option(("-e", "--env"), "environment", "pairs", "NAME[=VALUE]", "a variable; without a value ours is taken")
OPTIONS = (
    Option(("-i", "--stdin", "--interactive"), "stdin_open", "flag", help="pass our input on"),
    Option(("-t", "--tty"), "tty", "flag", help="with a terminal"),
    ENV,
    Option(("-v", "--volume"), "volumes", "list", "[SOURCE:]TARGET[:ro]", "a directory of this machine, or a volume"),
    Option(("--tmpfs",), "tmpfs", "list", "TARGET[:OPTIONS]", "memory as a directory"),
    Option(("-p", "--publish"), "ports", "list", "[IP:]HOST:CONTAINER", "a port of this machine for one of it"),
    Option(("--expose",), "expose", "list", "PORT", "a port that others in its network reach by its name"),
    Option(("-m", "--memory"), "mem_limit", metavar="SIZE", help="memory limit, such as 512m"),
    Option(("--memory-reservation",), "mem_reservation", metavar="SIZE", help="memory that is kept for it"),
    Option(("--memory-swap",), "memswap_limit", metavar="SIZE", help="memory and swap together"),
    Option(("--cpus",), "cpus", metavar="NUMBER", help="CPU limit, such as 0.5"),
    Option(("--cpu-shares",), "cpu_shares", metavar="NUMBER", help="weight when CPUs are short"),
    Option(("--cpuset-cpus",), "cpuset", metavar="LIST", help="the CPUs it may run on"),
    Option(("--pids-limit",), "pids_limit", metavar="NUMBER", help="how many processes it may have"),
    Option(("--shm-size",), "shm_size", metavar="SIZE", help="size of /dev/shm"),
    Option(("--oom-score-adj",), "oom_score_adj", metavar="NUMBER", help="who goes first when memory runs out"),
    Option(("-u", "--user"), "user", metavar="USER[:GROUP]", help="names or numbers"),
    Option(("-w", "--workdir"), "working_dir", metavar="DIR", help="where the command starts"),
    Option(("--hostname",), "hostname", metavar="NAME", help="its host name"),
    Option(("--add-host",), "extra_hosts", "list", "NAME:ADDRESS", "an entry of /etc/hosts"),
    Option(("-l", "--label"), "labels", "pairs", "NAME[=VALUE]", "a label"),
    Option(("--annotation",), "annotations", "pairs", "NAME=VALUE", "an annotation of the pod"),
    Option(("--cap-add",), "cap_add", "list", "NAME", "a capability more"),
    Option(("--cap-drop",), "cap_drop", "list", "NAME", "a capability less; ALL"),
    Option(("--security-opt",), "security_opt", "list", "OPTION", "no-new-privileges"),
    Option(("--privileged",), "privileged", "flag", help="with all capabilities and devices"),
    Option(("--read-only",), "read_only", "flag", help="the root file system is read-only"),
    Option(("--init",), "init", "flag", help="a small init as process 1"),
    Option(("--sysctl",), "sysctls", "pairs", "NAME=VALUE", "a kernel parameter of its namespaces"),
    Option(("--pull",), "pull_policy", metavar="always|missing|never", help="when the image is pulled"),
    Option(("--platform",), "platform", metavar="OS/ARCH", help="this machine's own"),
    Option(("--stop-signal",), "stop_signal", metavar="SIGNAL", help="what asks it to end"),
    Option(("--health-cmd",), "healthcheck.test", metavar="COMMAND", help="tells by exit code 0 that it is healthy"),
    Option(("--health-interval",), "healthcheck.interval", metavar="DURATION", help="between two checks"),
    Option(("--health-timeout",), "healthcheck.timeout", metavar="DURATION", help="how long a check may take"),
    Option(("--health-retries",), "healthcheck.retries", metavar="NUMBER", help="failures until it is unhealthy"),
    Option(("--health-start-period",), "healthcheck.start_period", metavar="DURATION", help="before the first check"),
    Option(("--device",), "devices", "list", "PATH[:PATH[:rwm]]", "a device of this machine"),
    Option(("--dns-option",), "dns_opt", "list", "OPTION", "an option of its resolver"),
    Option(("--dns-search",), "dns_search", "list", "DOMAIN", "where short names are looked for"),
    Option(("--group-add",), "group_add", "list", "GROUP", "a further group, by number"),
    Option(("--ipc",), "ipc", metavar="host|private", help="whose IPC namespace"),
    Option(("--pid",), "pid", metavar="host", help="see the processes of this machine"),
    Option(("--userns",), "userns_mode", metavar="host", help="without a user namespace"),
    Option(("--log-opt",), "logging.options", "pairs", "NAME=VALUE", "max-size, max-file"),
    Option(("--ulimit",), "ulimits", "pairs", "NAME=SOFT[:HARD]", "a limit of its processes"),
    # What a service of a file cannot have: told with the reason that is given there.
    Option(("--dns",), "dns", "list"),
    Option(("--domainname",), "domainname"),
    Option(("--gpus",), "gpus"),
    Option(("--uts",), "uts"),
    Option(("--cgroupns",), "cgroup"),
    Option(("--cgroup-parent",), "cgroup_parent"),
    Option(("--link",), "links", "list"),
    Option(("--log-driver",), "logging.driver"),
    Option(("--mac-address",), "mac_address"),
    Option(("--runtime",), "runtime"),
    Option(("--storage-opt",), "storage_opt", "pairs"),
    Option(("--volumes-from",), "volumes_from", "list"),
)  # fmt: skip
MOUNT = {
    "type": "type", "source": "source", "src": "source", "target": "target", "dst": "target", "destination": "target",
    "readonly": "read_only", "ro": "read_only", "bind-propagation": "bind.propagation",
    "volume-subpath": "volume.subpath", "tmpfs-size": "tmpfs.size", "tmpfs-mode": "tmpfs.mode",
}  # fmt: skip
FLAGS = ("read_only",)


def add(parser: argparse.ArgumentParser) -> None:
    for option in OPTIONS:
        dest = _dest(option.key)
        if option.form == "flag":
            parser.add_argument(*option.flags, dest=dest, action="store_true", help=option.help)
            continue
        many = {} if option.form == "text" else {"action": "append", "default": []}
        text = option.help or argparse.SUPPRESS
        parser.add_argument(*option.flags, dest=dest, metavar=option.metavar, help=text, **many)  # type: ignore[arg-type]


def _dest(key: str) -> str:
    return f"its_{key.replace('.', '_')}"


def service(args: argparse.Namespace) -> Service:
    """What was given, as a service of a Compose file. Bad for what cannot be read."""
    found: Service = {}
    for option in OPTIONS:
        value = getattr(args, _dest(option.key))
        if value not in (None, False, []):
            _put(found, option.key, _pairs(option, value) if option.form == "pairs" else value)
    if args.env_file:
        found["environment"] = _env_files(args.env_file) | found.get("environment", {})
    if args.mount:
        found["volumes"] = [*found.get("volumes", ()), *(mount(text) for text in args.mount)]
    if args.stop_timeout is not None:
        found["stop_grace_period"] = f"{args.stop_timeout}s"
    if "healthcheck" in found and "retries" in found["healthcheck"]:
        found["healthcheck"]["retries"] = _number("--health-retries", found["healthcheck"]["retries"])
    if "ulimits" in found:
        found["ulimits"] = {name: _limit(text) for name, text in found["ulimits"].items()}
    if args.no_healthcheck:
        found["healthcheck"] = {"disable": True}
    return found


def _limit(text: str) -> Any:
    """`1024:2048` is soft and hard; one number is both."""
    soft, colon, hard = text.partition(":")
    given = [_number("--ulimit", each) if each != "-1" else -1 for each in (soft, hard if colon else soft)]
    return {"soft": given[0], "hard": given[1]} if colon else given[0]


def _put(found: Service, key: str, value: object) -> None:
    head, _, tail = key.partition(".")
    if tail:
        found.setdefault(head, {})[tail] = value
    else:
        found[head] = value


def _number(flag: str, text: str) -> int:
    if not text.isdecimal():
        raise Bad(f"orch run: {flag} {text!r} is no whole number (write digits)")
    return int(text)


def _pairs(option: Option, values: list[str]) -> dict[str, str]:
    """NAME=VALUE, or of variables NAME alone, which takes ours when there is one."""
    found = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not name:
            raise Bad(f"orch run: {option.flags[-1]} {text!r} has no name (write NAME=VALUE)")
        if equals or option.key != "environment":
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def _env_files(paths: list[str]) -> dict[str, str]:
    """Docker's form: NAME=VALUE as it stands, without quotes or variables; NAME alone takes ours; # is a comment."""
    found: dict[str, str] = {}
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise Bad(f"orch run: cannot read {path}: {why} (--env-file wants lines NAME=VALUE)") from error
        given = [line.lstrip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        found |= _pairs(ENV, given)
    return found


def mount(text: str) -> dict[str, Any]:
    """`type=bind,source=/a,target=/b,readonly` as a volume of a Compose file."""
    found: dict[str, Any] = {"type": "volume"}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        key = MOUNT.get(name.strip())
        if key is None:
            known = "type, source, target, readonly, volume-subpath, tmpfs-size"
            raise Bad(f"orch run: --mount {text}: not supported: {name or 'an empty part'} (known are {known})")
        _put(found, key, value not in ("false", "0") if key in FLAGS else value)
        if not equals and key not in FLAGS:
            raise Bad(f"orch run: --mount {text}: {name} has no value (write {name}=VALUE)")
    if found["type"] == "bind":
        found.setdefault("bind", {})["create_host_path"] = False
    return found


def named(given: Mapping[str, Any]) -> list[str]:
    """Names of volumes among the mounts of a service."""
    found = []
    for each in given.get("volumes", ()):
        if isinstance(each, str):
            source, colon, _ = each.partition(":")
            name = source if colon and source[:1] not in "./~" else ""
        else:
            name = each.get("source", "") if each["type"] == "volume" else ""
        found += [name] if name else []
    return list(dict.fromkeys(found))


def told(field: str) -> str:
    """The option that a key of the service came from: what the user wrote."""
    path = field.split("[")[0].removeprefix("services.").partition(".")[2]
    if path.startswith("volumes") or path == "tmpfs":
        return {"tmpfs": "--tmpfs"}.get(path, "--volume or --mount")
    if path == "stop_grace_period":
        return "--stop-timeout"
    best = [each for each in OPTIONS if path == each.key or path.startswith(f"{each.key}.")]
    return best[0].flags[-1] if best else ""
