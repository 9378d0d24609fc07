"""`<run>/volatile`: a tmpfs for secrets. Mode 0700, gone after a reboot, not swapped (Linux 6.4)."""

from orchestr.runtime import tmpfs


def place(run: str) -> str:
    return f"{run}/volatile"


def mount(run: str) -> None:
    """Mounts it unless it is there."""
    tmpfs.mount(place(run), mode=0o700, size="10%")


def unmount(run: str) -> None:
    tmpfs.unmount(place(run))
