"""The disk of the virtual machine: Debian with systemd, Python and what orch needs, made once and kept.

`built()` gives the image for the packages and dependencies as they are now, and makes it when it is not in the cache
(about two minutes, then nothing). The project itself is not in it but comes with source.py, so that a change of the
code costs no new image. Unusable says what is missing.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SUITE = "bookworm"  # with Linux 6.1, the oldest that orch runs on
PYTHON = "3.11"  # the suite's
SIZE = "3G"
VENV = "/opt/orch/.venv"
PACKAGES = (
    "linux-image-cloud-amd64", "initramfs-tools", "zstd", "kmod", "udev", "systemd-sysv", "dbus", "procps", "e2fsprogs",
    "python3", "python3-venv", "nftables", "libnftables1", "libseccomp2", "catatonit", "ca-certificates",
    "busybox-static", "uidmap", "libpam-systemd", "dbus-user-session",  # what e2e/runtime needs
)  # fmt: skip
TOOLS = {"qemu-system-x86_64": "qemu-system-x86", "mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs"}
# Only what finds the disk: an initramfs with every driver takes seconds longer to unpack under emulation.
MODULES = ("virtio_pci", "virtio_blk", "ext4")
MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer")
UNIT = f"""\
[Unit]
Description=Commands of the tests, over a virtio port
Requires=dev-virtio\\x2dports-orch.device dev-disk-by\\x2did-virtio\\x2dsource.device
After=dev-virtio\\x2dports-orch.device dev-disk-by\\x2did-virtio\\x2dsource.device

[Service]
ExecStartPre=/bin/tar -xf /dev/disk/by-id/virtio-source -C /opt/orch
ExecStart={VENV}/bin/python3 /opt/orch/e2e/vm/agent.py /dev/virtio-ports/orch
Environment=PATH={VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
KillMode=process
OOMPolicy=continue
TasksMax=infinity

[Install]
WantedBy=multi-user.target
"""


class Unusable(Exception):
    """The machine cannot be had; the text says why and what would help."""


class Image(NamedTuple):
    disk: Path  # raw ext4, never written: each machine has a copy
    kernel: Path
    initrd: Path


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orch-vm"


def built() -> Image:
    """The image, made when it is not there yet. Raises Unusable."""
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool, path=_path()) is None]
    if missing:
        raise Unusable(f"no {', '.join(missing)} here (apt-get install {' '.join(missing)})")
    folder = cache() / _key()
    image = Image(folder / "disk.raw", folder / "vmlinuz", folder / "initrd.img")
    if not folder.exists():
        _make(folder)
    return image


def _key() -> str:
    said = "\n".join((Path(__file__).read_text(), *_dependencies()))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def project() -> dict[str, Any]:
    with open(PROJECT / "pyproject.toml", "rb") as file:
        found: dict[str, Any] = tomllib.load(file)["project"]
        return found


def _dependencies() -> list[str]:
    """Of the product, and what runs the other end-to-end tests inside the machine."""
    found = project()
    wanted = ("pytest", "hypothesis")
    more = [line for line in found["optional-dependencies"]["dev"] if line.startswith(wanted)]
    return sorted([*found["dependencies"], *more])


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _run(*words: str | Path) -> None:
    done = subprocess.run(
        ["nice", "-n", "10", *map(str, words)], capture_output=True, text=True, env={**os.environ, "PATH": _path()}
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-8:]
        raise Unusable(f"cannot make the machine's disk: {words[0]} failed: {' | '.join(said)}")


def _make(folder: Path) -> None:
    """Into a neighbour first, so that a run that was cut off leaves no half image."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as name:
        work, root = Path(name), Path(name, "root")
        _run("mmdebstrap", "--mode=root", "--variant=apt", "--format=directory", f"--include={','.join(PACKAGES)}",
             f"--essential-hook={_initramfs()}", "--dpkgopt=path-exclude=/usr/share/doc/*",
             "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
             "--", SUITE, root)  # fmt: skip
        try:
            _configure(root)
            _python(root)
            out = work / "out"
            out.mkdir()
            shutil.copy(next(root.glob("boot/vmlinuz-*")), out / "vmlinuz")
            shutil.copy(next(root.glob("boot/initrd.img-*")), out / "initrd.img")
            _run("mke2fs", "-q", "-t", "ext4", "-d", root, out / "disk.raw", SIZE)
            out.rename(folder)
        finally:
            shutil.rmtree(root, ignore_errors=True)


def _initramfs() -> str:
    listed = "\\n".join(MODULES)
    place = '"$1/etc/initramfs-tools'
    return (
        f'mkdir -p {place}/conf.d" && echo MODULES=list > {place}/conf.d/orch" '
        f"&& printf '{listed}\\n' > {place}/modules\""
    )


def _configure(root: Path) -> None:
    (root / "etc/hostname").write_text("vm\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 vm\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    (root / "etc/fstab").write_text("/dev/vda / ext4 defaults,errors=remount-ro 0 1\n")
    units = root / "etc/systemd/system"
    (units / "orch-vm.service").write_text(UNIT)
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants/orch-vm.service").symlink_to("/etc/systemd/system/orch-vm.service")
    for name in MASKED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")


def _python(root: Path) -> None:
    """A virtual environment with the dependencies; the project itself comes with `source()`."""
    _run("chroot", root, "python3", "-m", "venv", "--without-pip", VENV)
    place = f"{root}{VENV}/lib/python{PYTHON}/site-packages"
    _run(sys.executable, "-m", "pip", "install", "--quiet", "--target", place, "--python-version", PYTHON,
         "--implementation", "cp", "--only-binary=:all:", *_dependencies())  # fmt: skip
    Path(place, "orch.pth").write_text("/opt/orch\n")


if __name__ == "__main__":
    try:
        print(built().disk)
    except Unusable as error:
        sys.exit(str(error))
