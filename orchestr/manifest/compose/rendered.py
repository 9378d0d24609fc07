"""A project as `docker compose config` shows it: implied values written out, every value in Compose's own type.

Source: compose-go (loader/normalize.go and the types' marshalling). Empty values are left out but where they mean
something; `for_json` adds what Compose's JSON has more than its YAML.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from orchestr.api.composevalue import seconds, size
from orchestr.manifest.compose import words
from orchestr.manifest.compose.environment import Environment
from orchestr.manifest.compose.reader import Reader, flag, text
from orchestr.manifest.compose.tree import Findings, Node

Convert = Callable[[Any], Any]
Data = dict[str, Any]

# Maps of the user's own names, and keys whose empty value says something.
OPEN = {"additional_contexts", "annotations", "args", "driver_opts", "environment", "labels", "models", "networks",
        "options", "storage_opt", "sysctls", "depends_on", "ulimits"}  # fmt: skip
KEPT = {"attach", "bind", "command", "enable_ipv4", "enable_ipv6", "entrypoint", "healthcheck",
        "init", "interval", "max_attempts", "mode", "parallelism", "replicas", "required", "retries", "scale",
        "start_interval", "start_period", "stop_grace_period", "timeout", "tmpfs", "volume", "hard",
        "soft"}  # fmt: skip
SHARED = ("network_mode", "ipc", "pid", "uts", "cgroup")  # may be service:NAME


def project(root: Node, name: str, environment: Environment) -> Data:
    """The YAML form. Dollar signs stand alone: see `escaped`."""
    found: Data = {"name": name}
    read = Reader(root, (), Findings())
    found["services"] = {key: _service(entry, environment) for key, entry in sorted(read.children("services").items())}
    services = found["services"].values()
    for kind in ("networks", "volumes", "secrets", "configs"):
        used = _used(services, kind)
        members = {key: _resource(node.plain()) for key, node in _members(root, kind) if key in used}
        found[kind] = members if kind != "networks" or "default" not in used else {"default": {}} | members
    if (models := root.get("models")) is not None:
        found["models"] = models.plain()
    for kind in ("networks", "volumes", "secrets", "configs"):
        for key, entry in found[kind].items():
            if read.child(kind).child(key).get("name") is None:
                entry["name"] = key if entry.get("external") else f"{name}_{key}"
    extensions = {key: child.plain() for key, child in root.items() if key.startswith("x-")}
    return {key: value for key, value in (found | extensions).items() if value != {} or key == "services"}


def _members(root: Node, kind: str) -> list[tuple[str, Node]]:
    child = root.get(kind)
    return sorted(child.items()) if child is not None else []


def only(data: Data, names: Sequence[str]) -> Data:
    """These services and what they depend on, with the networks, volumes, secrets and configs that they use; `names`
    empty: everything.
    """
    if not names:
        return data
    kept: Data = {}
    left = list(names)
    while left:
        name = left.pop()
        if name not in kept and name in data["services"]:
            kept[name] = data["services"][name]
            left += kept[name].get("depends_on", ())
    found = data | {"services": {name: one for name, one in data["services"].items() if name in kept}}
    for kind in ("networks", "volumes", "secrets", "configs"):
        used = _used(kept.values(), kind)
        found[kind] = {key: entry for key, entry in data.get(kind, {}).items() if key in used}
    return {key: value for key, value in found.items() if value != {}}


def _used(services: Iterable[Data], kind: str) -> set[str]:
    """The networks, volumes, secrets or configs of these services."""
    if kind == "networks":
        return {key for one in services for key in one.get("networks", ())}
    if kind == "volumes":
        mounts = (mount for one in services for mount in one.get("volumes", ()))
        return {mount["source"] for mount in mounts if mount["type"] == "volume" and mount.get("source")}
    built = [use for one in services for use in one.get("build", {}).get("secrets", ())] if kind == "secrets" else []
    return {use["source"] for use in (*(use for one in services for use in one.get(kind, ())), *built)}


def for_json(data: Data) -> Data:
    """What JSON shows: extensions of the project only, the commands that are not set, structures that are empty."""
    found: Data = {key: child if key.startswith("x-") else _without_extensions(child) for key, child in data.items()}
    found.pop("models", None)
    for service in found["services"].values():
        service |= {key: service.get(key) for key in ("command", "entrypoint")}
        if "deploy" in service:
            service["deploy"] = {"resources": {}, "placement": {}} | service["deploy"]
        for watch in service.get("develop", {}).get("watch", ()):
            watch.setdefault("exec", {}).setdefault("command", None)
    for network in found.get("networks", {}).values():
        network.setdefault("ipam", {})
    return found


def _without_extensions(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_extensions(child) for key, child in value.items() if not key.startswith("x-")}
    return [_without_extensions(child) for child in value] if isinstance(value, list) else value


def escaped(value: Any) -> Any:
    """With `$$` for a dollar sign, so that what is shown can be read again."""
    if isinstance(value, dict):
        return {escaped(key): escaped(child) for key, child in value.items()}
    if isinstance(value, list):
        return [escaped(child) for child in value]
    return value.replace("$", "$$") if isinstance(value, str) else value


def _service(read: Reader, environment: Environment) -> Data:
    data: Data = dict(read.node.plain()) if read.node is not None and isinstance(read.node.data, dict) else {}
    data["environment"] = environment.shown(read)
    data["labels"] = environment.labels(read)
    data["depends_on"] = _depends_on(data)
    for key in ("env_file", "label_file"):
        data.pop(key, None)
    if not data.get("networks") and "network_mode" not in data and "provider" not in data:
        data["networks"] = {"default": None}
    if data.get("pull_policy") == "if_not_present":
        data["pull_policy"] = "missing"
    if isinstance(data.get("build"), dict):
        data["build"] = _build(data["build"], environment)
    found = {key: CONVERT[key](value) if key in CONVERT and value is not None else value for key, value in data.items()}
    plain: Data = _plain(found)
    return plain


def _depends_on(data: Data) -> Data:
    """Written ones, and those that follow from what is shared."""
    found: Data = dict(data.get("depends_on") or {})
    implied = {"condition": "service_started", "restart": True, "required": True}
    for link in data.get("links") or ():
        found.setdefault(str(link).partition(":")[0], implied)
    for key in SHARED:
        if str(data.get(key) or "").startswith("service:"):
            found.setdefault(data[key].removeprefix("service:"), implied)
    for source in data.get("volumes_from") or ():
        if not source.startswith("container:"):
            found.setdefault(source.partition(":")[0], {"condition": "service_started", "required": True})
    return found


def _build(build: Data, environment: Environment) -> Data:
    found = dict(build)
    if "dockerfile" not in found and "dockerfile_inline" not in found:
        found["dockerfile"] = "Dockerfile"
    args = found.get("args") or {}
    given = {key: environment.variables.get(key) if value is None else text(value) for key, value in args.items()}
    found["args"] = {key: value for key, value in given.items() if value is not None}
    found["labels"] = _texts(found.get("labels") or {})
    for key, convert in (("extra_hosts", _hosts), ("shm_size", _bytes), ("ulimits", _ulimits)):
        if found.get(key) is not None:
            found[key] = convert(found[key])
    return found


def _resource(data: Data | None) -> Data:
    found: Data = dict(data or {})
    if found.get("driver_opts"):
        found["driver_opts"] = _texts(found["driver_opts"])
    if found.get("labels"):
        found["labels"] = _texts(found["labels"])
    plain: Data = _plain(found)
    return plain


def _plain(data: Any, *, inside: str = "") -> Any:
    """Without what is empty, as Go leaves it out, except below names of the user's and where it has a meaning."""
    if isinstance(data, list):
        return [_plain(child) for child in data]
    if not isinstance(data, dict):
        return data
    if inside in OPEN:
        return {key: _plain(child) for key, child in data.items()}
    data = {key: CASTS[key](child) if isinstance(child, str) and key in CASTS else child for key, child in data.items()}
    found = {key: child if key.startswith("x-") else _plain(child, inside=key) for key, child in data.items()}
    return {
        key: child
        for key, child in found.items()
        if child not in (None, False, 0, "", [], {}) or (key in KEPT and child is not None) or key.startswith("x-")
    }


def _texts(data: Mapping[str, Any]) -> Data:
    return {key: "" if value is None else text(value) for key, value in data.items()}


def _words(value: Any) -> Any:
    return words.split(value) if isinstance(value, str) else [text(word) for word in value]


def _bytes(value: Any) -> str:
    return str(int(value) if str(value).lstrip("-").isdecimal() else size(value))


def duration(value: Any) -> str:
    """As Go prints it: 90s -> `1m30s`, 0.5 s -> `500ms`."""
    total = round(seconds(text(value)) * 1_000_000)
    if total == 0:
        return "0s"
    if total < 1_000_000:
        return f"{_short(total, 1000)}ms" if total >= 1000 else f"{total}µs"
    minutes, rest = divmod(total, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    head = (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "")
    return f"{head}{_short(rest, 1_000_000)}s"


def _short(number: int, unit: int) -> str:
    return f"{number / unit:.6f}".rstrip("0").rstrip(".")


def _cpus(value: Any) -> Any:
    number = float(value)
    return int(number) if number.is_integer() else number


def _mode(value: Any) -> str:
    return f"0{value:o}" if isinstance(value, int) else f"0{int(str(value).removeprefix('0o'), 8):o}"


def _hosts(value: Mapping[str, list[Any]]) -> list[str]:
    return sorted(f"{host}={address}" for host, addresses in value.items() for address in addresses)


def _ulimits(value: Mapping[str, Any]) -> Data:
    return {key: limit if isinstance(limit, dict) else int(limit) for key, limit in value.items()}


def _ports(value: list[Data]) -> list[Data]:
    return [{"mode": "ingress", "protocol": "tcp", **port, "target": int(port["target"])} for port in value]


def _volumes(value: list[Data]) -> list[Data]:
    return [_volume(mount) for mount in value]


def _volume(mount: Data) -> Data:
    found = dict(mount)
    if isinstance(bind := found.get("bind"), dict) and mount["type"] == "bind":
        found["bind"] = {"create_host_path": True, **bind}
    if isinstance(tmpfs := found.get("tmpfs"), dict) and tmpfs.get("size"):
        found["tmpfs"] = {**tmpfs, "size": _bytes(tmpfs["size"])}
    return found


def _secrets(value: list[Data]) -> list[Data]:
    return [{"target": f"/run/secrets/{use['source']}", **use} for use in _configs(value)]


def _configs(value: list[Data]) -> list[Data]:
    return [use | ({"mode": _mode(use["mode"])} if use.get("mode") is not None else {}) for use in value]


def _healthcheck(value: Data) -> Data:
    found = {key: duration(child) if key in DURATIONS else child for key, child in value.items()}
    if isinstance(test := found.get("test"), str):
        found["test"] = ["CMD-SHELL", test]
    return found


def _deploy(value: Data) -> Data:
    found = dict(value)
    if "labels" in found:
        found["labels"] = _texts(found["labels"] or {})
    resources = {
        group: {key: _limit(key, limit) for key, limit in (limits or {}).items()}
        for group, limits in (found.get("resources") or {}).items()
    }
    if resources:
        found["resources"] = resources
    for group in ("restart_policy", "update_config", "rollback_config"):
        if isinstance(policy := found.get(group), dict):
            found[group] = {key: duration(child) if key in DURATIONS else child for key, child in policy.items()}
    return found


def _limit(key: str, value: Any) -> Any:
    if key == "devices":
        return [_device_request(request) for request in value]
    return _cpus(value) if key == "cpus" else _bytes(value) if key == "memory" else value


def _device_request(request: Data) -> Data:
    default = {} if "device_ids" in request else {"count": "all"}
    found: Data = default | request
    if found.get("count") is not None:
        found["count"] = -1 if found["count"] == "all" else int(found["count"])
    return found


def _logging(value: Data) -> Data:
    return value | ({"options": _texts(value["options"])} if value.get("options") else {})


def _networks(value: Mapping[str, Any]) -> Data:
    return {key: _plain(use) if use is not None else None for key, use in value.items()}


def _hooks(value: list[Data]) -> list[Data]:
    return [hook | {"command": _words(hook["command"])} for hook in value]


def _develop(value: Data) -> Data:
    found = []
    for watch in value.get("watch") or ():
        listed = {key: [watch[key]] for key in ("ignore", "include") if isinstance(watch.get(key), str)}
        (hook,) = _hooks([watch["exec"]]) if watch.get("exec") else (None,)
        found.append(watch | listed | ({"exec": hook} if hook else {}))
    return value | {"watch": found}


def _provider(value: Data) -> Data:
    options = value.get("options") or {}
    lists = {key: option if isinstance(option, list) else [option] for key, option in options.items()}
    return value | {"options": {key: [text(each) for each in option] for key, option in lists.items()}}


def _blkio(value: Data) -> Data:
    return {
        key: [item | ({"rate": _bytes(item["rate"])} if "rate" in item else {}) for item in child]
        if isinstance(child, list) else child
        for key, child in value.items()
    }  # fmt: skip


FLAGS = ("attachable", "disable", "enable_ipv4", "enable_ipv6", "external", "init", "internal", "nocopy",
         "oom_kill_disable", "privileged", "read_only", "required", "stdin_open", "tty")  # fmt: skip
NUMBERS = ("cpu_count", "cpu_quota", "cpu_shares", "hard", "max_attempts", "max_replicas_per_node", "oom_score_adj",
           "parallelism", "pids", "pids_limit", "replicas", "retries", "scale", "soft")  # fmt: skip
CASTS: Mapping[str, Convert] = {**dict.fromkeys(FLAGS, flag), **dict.fromkeys(NUMBERS, int)}
DURATIONS = {"interval", "timeout", "start_period", "start_interval", "delay", "monitor", "window"}
CONVERT: Mapping[str, Convert] = {
    "annotations": _texts,
    "blkio_config": _blkio,
    "command": _words,
    "configs": _configs,
    "cpus": _cpus,
    "deploy": _deploy,
    "develop": _develop,
    "entrypoint": _words,
    "expose": lambda value: [text(port) for port in value],
    "extra_hosts": _hosts,
    "gpus": lambda value: [_device_request(request) for request in value],
    "group_add": lambda value: [text(group) for group in value],
    "healthcheck": _healthcheck,
    "labels": _texts,
    "logging": _logging,
    "mem_limit": _bytes,
    "mem_reservation": _bytes,
    "mem_swappiness": _bytes,
    "memswap_limit": _bytes,
    "networks": _networks,
    "post_start": _hooks,
    "ports": _ports,
    "pre_start": _hooks,
    "pre_stop": _hooks,
    "provider": _provider,
    "secrets": _secrets,
    "shm_size": _bytes,
    "stop_grace_period": duration,
    "sysctls": _texts,
    "ulimits": _ulimits,
    "volumes": _volumes,
}
