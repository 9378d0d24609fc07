"""What one entry of a file must not say together, or not leave out. Each check is a function; all findings are told."""

from orchestr.manifest.compose.content import SOURCES
from orchestr.manifest.compose.reader import Reader


def check(read: Reader) -> None:
    """`read` is the whole merged tree."""
    for service in read.children("services").values():
        _mounts(service)
        build = service.child("build")
        if build.get("dockerfile") and build.get("dockerfile_inline"):
            build.error("dockerfile", "cannot be combined with dockerfile_inline", "keep one of them")
    for volume in read.children("volumes").values():
        _external(volume)
    for kind in ("secrets", "configs"):
        for entry in read.children(kind).values():
            _content(entry, SOURCES if kind == "configs" else SOURCES[:2])


def _mounts(service: Reader) -> None:
    """One path of the container can hold one thing."""
    taken: dict[str, str] = {}
    entries = [(entry, "", str(entry.node.data).partition(":")[0]) for entry in service.entries("tmpfs") if entry.node]
    entries += [(entry, "target", entry.text("target") or "") for entry in service.entries("volumes")]
    for entry, key, target in entries:
        where = f"{entry.path[-2]}[{entry.path[-1]}]"
        if target in taken:
            entry.error(key, f"{target} is mounted by {taken[target]} too", "choose another path, or remove one")
        taken.setdefault(target, where)


def _external(volume: Reader) -> None:
    others = [key for key in volume.node.data if key not in ("name", "external") and not key.startswith("x-")] if (
        volume.node is not None and isinstance(volume.node.data, dict) and volume.flag("external")
    ) else []  # fmt: skip
    for key in others:
        volume.error(key, "cannot be combined with external", "what is external is made elsewhere; remove one of them")


def _content(entry: Reader, sources: tuple[str, ...]) -> None:
    given = [key for key in sources if entry.get(key) is not None]
    elsewhere = entry.get("external") is not None or entry.get("driver") is not None
    if len(given) > 1 or not (given or elsewhere):
        entry.error(
            "", f"needs exactly one of {', '.join(sources)}", f"has {', '.join(given)}" if given else "has none"
        )
