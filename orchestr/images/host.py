"""`local/host`: the machine itself as an image. Its /usr, read-only, over a fresh skeleton; always there, no download.

/etc has what programs of /usr need to run: the linker's cache, alternatives, system users and groups, CA certificates,
nsswitch.conf, the time zone. No secret and no person's name is copied. Its command sleeps, and ends on SIGTERM.
"""

import hashlib
import os
import shutil
import tempfile
from datetime import UTC, datetime

from orchestr.images.seam import Image, ImageConfig

NAME = "local/host"
COMMAND = ("/bin/sh", "-c", "trap 'exit 0' TERM INT; sleep infinity & wait")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FOLDERS = {"dev": 0o755, "proc": 0o555, "sys": 0o555, "run": 0o755, "tmp": 0o1777, "usr": 0o755, "root": 0o700,
           "home": 0o755, "mnt": 0o755, "opt": 0o755, "srv": 0o755, "etc": 0o755, "var": 0o755, "var/tmp": 0o1777,
           "var/log": 0o755, "var/lib": 0o755, "var/cache": 0o755, "var/spool": 0o755, "run/lock": 0o1777}  # fmt: skip
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # links into /usr, as the machine has them
COPIED = ("ld.so.cache", "ld.so.conf", "nsswitch.conf", "services", "protocols", "localtime", "mime.types",
          "os-release", "debian_version", "alternatives", "ssl/certs", "ssl/openssl.cnf", "ca-certificates.conf",
          "terminfo", "pki")  # fmt: skip
BINDS = ("/usr",)  # the machine's own directories in it
LAST_SYSTEM_ID = 999
NOBODY = 65534


class Host:
    """Makes the skeleton under <root>/host/<stamp>; a machine that changes gets a new one."""

    def __init__(self, root: str) -> None:
        self._folder = os.path.join(root, "host")
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        self._stamp = ""
        self._image: Image | None = None

    def image(self) -> Image:
        stamp = _stamp()
        known = self._image
        if known is None or stamp != self._stamp:
            known = self._image = self._make(stamp)
            self._stamp = stamp
        return known

    def remember(self, diff_id: str) -> None:
        """A skeleton became a layer: images on it need this machine's own directories, too."""
        with open(self._mark(diff_id), "wb"):
            pass

    def below(self, diff_id: str) -> bool:
        return os.path.exists(self._mark(diff_id))

    def _mark(self, diff_id: str) -> str:
        return os.path.join(self._folder, f".layer-{diff_id.removeprefix('sha256:')}")

    def _make(self, stamp: str) -> Image:
        place = os.path.join(self._folder, stamp)
        if not os.path.isdir(place):
            fresh = tempfile.mkdtemp(dir=self._folder, prefix=".new-")
            os.chmod(fresh, 0o755)
            skeleton(fresh)
            try:
                os.rename(fresh, place)
            except OSError:  # another thread was first
                shutil.rmtree(fresh)
        config = ImageConfig(cmd=COMMAND, env=(PATH,), labels={"orchestr.dev/source": "machine"})
        created = datetime.fromtimestamp(int(os.stat(place).st_mtime), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Image(
            digest=f"sha256:{hashlib.sha256(stamp.encode()).hexdigest()}",
            names=(f"{NAME}:latest",),
            config=config,
            lower=(place,),
            size=0,
            created=created,
            binds=BINDS,
        )


def _stamp() -> str:
    """Changes when what the skeleton copies changes."""
    parts = ["2"]  # of this file's own rules
    for name in ("ld.so.cache", "passwd", "group", "alternatives", "ssl/certs", "nsswitch.conf"):
        try:
            status = os.stat(f"/etc/{name}")
            parts.append(f"{name} {status.st_mtime_ns} {status.st_ino}")
        except OSError:
            parts.append(f"{name} -")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def skeleton(root: str) -> None:
    """Fills an empty directory."""
    for name, mode in FOLDERS.items():
        os.mkdir(os.path.join(root, name))
        os.chmod(os.path.join(root, name), mode)
    for name in MERGED:
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}").lstrip("/"), os.path.join(root, name))
        elif os.path.isdir(f"/{name}"):
            shutil.copytree(f"/{name}", os.path.join(root, name), symlinks=True)
    os.symlink("/run", os.path.join(root, "var/run"))
    for name in COPIED:
        _copy(f"/etc/{name}", os.path.join(root, "etc", name))
    os.symlink("/proc/self/mounts", os.path.join(root, "etc/mtab"))
    _accounts("/etc/passwd", os.path.join(root, "etc/passwd"))
    _accounts("/etc/group", os.path.join(root, "etc/group"))


def _copy(source: str, target: str) -> None:
    if not os.path.isdir(parent := os.path.dirname(target)):
        os.mkdir(parent)
        os.chmod(parent, 0o755)
    if os.path.islink(source) and not os.path.realpath(source).startswith("/etc/"):
        os.symlink(os.readlink(source), target)
    elif os.path.isdir(source):
        shutil.copytree(source, target, symlinks=True)
    elif os.path.exists(source):
        shutil.copy2(source, target)


def _accounts(source: str, target: str) -> None:
    """System users or groups: name and number; no person's, no password."""
    lines = []
    with open(source, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.rstrip("\n").split(":")
            if (
                len(fields) > 3
                and fields[2].isdigit()
                and (int(fields[2]) <= LAST_SYSTEM_ID or int(fields[2]) == NOBODY)
            ):
                fields[1] = "x"
                if source.endswith("group"):
                    fields[3] = ""
                lines.append(":".join(fields) + "\n")
    with open(target, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(lines)
        os.fchmod(file.fileno(), 0o644)  # whatever the daemon's umask
