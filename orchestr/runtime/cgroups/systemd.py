"""The systemd driver: a container's cgroup is a transient scope, asked for over D-Bus (org.freedesktop.systemd1(5)).

systemd makes the directories of the controllers it manages and, told the limits as properties, keeps them over its own
daemon-reload; everything else is done in the same files as without it. Delegate= leaves what is below to the container.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orchestr.runtime.cgroups.layout import layout
from orchestr.runtime.cgroups.properties import Property, of_annotations, of_resources
from orchestr.runtime.cgroups.tree import places
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.signals import SIGKILL

if TYPE_CHECKING:
    from orchestr.runtime.cgroups.bus import Systemd

_MARK: Final = "trusted.orch.unit"  # xattr of a scope's cgroup: its unit, for those who only know the path


class Unit(NamedTuple):
    slice: str
    name: str

    @property
    def path(self) -> str:
        """Where systemd puts it: every dash of a slice's name is a level of the tree (systemd.slice(5))."""
        if self.slice == "-.slice":
            return self.name
        parts = self.slice.removesuffix(".slice").split("-")
        levels = ("-".join(parts[: end + 1]) + ".slice" for end in range(len(parts)))
        return "/".join((*levels, self.name))


def unit_of(cgroups_path: str, id: str) -> Unit:
    """`/linux/cgroupsPath` in systemd's form, "slice:prefix:name"; without one, a scope in system.slice."""
    if not cgroups_path:
        return Unit("system.slice", f"orch-oci-{id}.scope")
    parts = cgroups_path.split(":")
    if len(parts) != 3 or not parts[2]:
        raise RuntimeFailure(
            f"cannot use /linux/cgroupsPath {cgroups_path!r}: expected cgroupsPath to be of format "
            '"slice:prefix:name" for systemd cgroups (or leave --systemd-cgroup out)'
        )
    slice, prefix, name = parts
    slice = slice or "system.slice"
    inner = slice.removesuffix(".slice")
    if not slice.endswith(".slice") or "/" in "".join(parts) or (slice != "-.slice" and "" in inner.split("-")):
        raise RuntimeFailure(f"cannot use /linux/cgroupsPath {cgroups_path!r}: invalid slice name {slice!r}")
    return Unit(slice, name if name.endswith(".slice") else f"{prefix}-{name}.scope".removeprefix("-"))


def _connected() -> "Systemd":
    """orch-oci starts without site-packages, which is where the library is."""
    try:
        import jeepney  # noqa: F401
    except ImportError:
        import site

        site.main()
    try:
        from orchestr.runtime.cgroups.bus import Systemd
    except ImportError as error:
        raise RuntimeFailure(f"cannot use systemd: {error} (pip install jeepney)") from error
    return Systemd()


def unit_at(path: str) -> Unit:
    """The unit whose `path` this is."""
    parts = path.split("/")
    return Unit(parts[-2] if len(parts) > 1 else "-.slice", parts[-1])


@contextmanager
def scope(unit: Unit, config: Mapping[str, Any]) -> Iterator[None]:
    """Starts it; the body puts the container in. An empty scope ends at once, so a process holds it until then."""
    with _connected() as systemd:
        holder = 0 if unit.name.endswith(".slice") else _sleeper()
        try:
            systemd.start(unit.name, properties(unit, config, holder))
            mark(unit)
            yield
        finally:
            if holder:
                os.kill(holder, SIGKILL)
                os.waitpid(holder, 0)


def _sleeper() -> int:
    import signal

    pid = os.fork()
    if pid:
        return pid
    try:
        while True:
            signal.pause()
    finally:
        os._exit(0)


def properties(unit: Unit, config: Mapping[str, Any], holder: int) -> list[Property]:
    """Pure."""
    if holder:
        place: tuple[Property, ...] = (
            ("Slice", ("s", unit.slice)),
            ("PIDs", ("au", [holder])),
            ("Delegate", ("b", True)),
        )
    else:
        place = (("Wants", ("as", [unit.slice])),)
    kinds = ("CPU", "Memory", "Tasks", "IO" if layout().pure else "BlockIO")
    return [
        ("Description", ("s", f"orch-oci container {unit.name}")),
        *place,
        ("DefaultDependencies", ("b", False)),
        ("CollectMode", ("s", "inactive-or-failed")),
        *((f"{kind}Accounting", ("b", True)) for kind in kinds),
        *of_resources((config.get("linux") or {}).get("resources") or {}, v2=layout().pure),
        *of_annotations(config.get("annotations") or {}),
    ]


def stop(path: str) -> None:
    """The scope of this cgroup, if it is one."""
    if name := marked(path):
        with _connected() as systemd:
            systemd.stop(name)


def update(path: str, resources: Mapping[str, Any]) -> None:
    """Tells the limits to systemd, lest it puts the old ones back."""
    name = marked(path)
    told = list(of_resources(resources, v2=layout().pure)) if name else []
    if told:
        with _connected() as systemd:
            systemd.set(name, told)


def mark(unit: Unit) -> None:
    for place in places(unit.path):
        with suppress(OSError):
            os.setxattr(place, _MARK, unit.name.encode())


def marked(path: str) -> str:
    """The unit that this cgroup belongs to, "" for none."""
    for place in places(path):
        with suppress(OSError):
            return os.getxattr(place, _MARK).decode()
    return ""
