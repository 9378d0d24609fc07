"""The cgroup of a bundle's container, while it is launched: made as config.json says, gone again when that fails."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from orchestr.runtime.cgroups import freezer, tree
from orchestr.runtime.cgroups.making import create


@contextmanager
def placed(config: Mapping[str, Any], path: str, owner: int = -1) -> Iterator[None]:
    """The body launches the container into `path`. `owner`: host id of its user, who may get the cgroup (v2).

    RuntimeFailure when somebody is in that cgroup already: then it is left alone.
    """
    linux = config.get("linux") or {}
    owner = owner if delegates(config) else -1
    create(path, linux.get("resources") or {}, every=True, fresh=True, owner=owner)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            freezer.kill_all(path)
            tree.remove(path)
        raise


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
