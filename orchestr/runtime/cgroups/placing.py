"""The cgroup of a bundle's container, while it is launched: made as config.json says, gone again when that fails."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final

from orchestr.runtime.cgroups import devices, freezer, limits, tree
from orchestr.runtime.cgroups.making import create, refuse_used
from orchestr.runtime.seam import RuntimeFailure

MANAGERS: Final = ("cgroupfs", "systemd", "disabled")
SUFFIXES: Final = (".scope", ".slice")  # cgroups that may be units of systemd


def place_of(cgroups_path: str, id: str, manager: str = "cgroupfs") -> str:
    """`/linux/cgroupsPath` as a path below each hierarchy's root, "" for none.

    `manager`: cgroupfs, systemd (then it is slice:prefix:name), or disabled.
    """
    if manager not in MANAGERS:
        raise RuntimeFailure(f"cannot use cgroup manager {manager!r}: not one of {', '.join(MANAGERS)}")
    if manager == "disabled":
        return ""
    if manager == "systemd":
        from orchestr.runtime.cgroups.systemd import unit_of

        return unit_of(cgroups_path, id).path
    return tree.path_of(cgroups_path, f"orch-oci/{id}")


@contextmanager
def placed(config: Mapping[str, Any], path: str, owner: int = -1, manager: str = "cgroupfs") -> Iterator[None]:
    """The body launches the container into `path`. `owner`: host id of its user, who may get the cgroup (v2).
    `manager`: as for `place_of`.

    RuntimeFailure when somebody is in that cgroup already: then it is left alone.
    """
    if not path:
        yield
        return
    linux = config.get("linux") or {}
    owner = owner if delegates(config) else -1
    refuse_used(path)
    with ExitStack() as stack:
        if manager == "systemd":
            from orchestr.runtime.cgroups.systemd import scope, unit_at

            stack.enter_context(scope(unit_at(path), config))
        try:
            resources = linux.get("resources") or {}
            # The launch itself takes more than one process: their number is limited once the container is alone.
            create(path, {**devices.usable(resources), "pids": {}}, every=True, owner=owner)
            yield
            limits.update(path, {"pids": resources.get("pids") or {}})
        except BaseException:
            with suppress(OSError, RuntimeFailure):
                freezer.kill_all(path)
                remove(path)
            raise


def update(path: str, resources: Mapping[str, Any]) -> None:
    """Sets what `resources` names; the rest stays. RuntimeFailure names the JSON pointer, the file and the cause."""
    if not path:
        raise RuntimeFailure("cannot change limits: the container has no cgroup (it was made with cgroups disabled)")
    if path.endswith(SUFFIXES):
        from orchestr.runtime.cgroups import systemd

        systemd.update(path, resources)
    limits.update(path, devices.usable(resources))


def remove(path: str, patience: float = 2.0) -> None:
    """With those below. Waits up to `patience` seconds for killed processes to be gone; OSError EBUSY after that."""
    if path.endswith(SUFFIXES):
        from orchestr.runtime.cgroups import systemd

        systemd.stop(path)
    tree.remove(path, patience)


def delegates(config: Mapping[str, Any]) -> bool:
    """runtime-spec config-linux.md "Cgroup ownership": a new cgroup namespace, and cgroups mounted to be written."""
    namespaces = (config.get("linux") or {}).get("namespaces") or ()
    if not any(item.get("type") == "cgroup" and not item.get("path") for item in namespaces):
        return False
    return any(
        mount.get("source") == "cgroup"
        and str(mount.get("destination", "")).rstrip("/") == "/sys/fs/cgroup"
        and "ro" not in (mount.get("options") or ())
        for mount in config.get("mounts") or ()
    )
