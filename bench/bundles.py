"""An OCI bundle that asks of crun, runc and orch-oci what our own launch does by itself."""

import base64
import json
import os

from bench.engines.orch import ORCH
from bench.launching import UID_BASE
from bench.place import Place
from orchestr.runtime import seccomp_profile
from orchestr.runtime.spec import CAPABILITIES, default_spec

ORCH_OCI = f"{ORCH}-oci"
KINDS = ("mount", "pid", "network", "ipc", "uts", "cgroup", "user")


def config(cgroup: str) -> str:
    """config.json: all namespaces, the default profile written out, the same limits and mounts as in launching.py."""
    spec = default_spec(["/bin/true"], ["PATH=/bin"], resources={"memory": {"limit": 256 << 20}, "pids": {"limit": 64}})
    ids = [{"containerID": 0, "hostID": UID_BASE, "size": 65536}]
    spec["root"] = {"path": "rootfs"}
    spec["hostname"] = "bench"
    spec["linux"] |= {
        "namespaces": [{"type": kind} for kind in KINDS],
        "uidMappings": ids,
        "gidMappings": ids,
        "seccomp": seccomp_profile.default(CAPABILITIES),
        "cgroupsPath": cgroup,
    }
    return json.dumps(spec)


class Bundle:
    """A context manager: the bundle in a place, its root an overlay that is mounted already."""

    def __init__(self, place: Place, rootfs: bytes, owner: str) -> None:
        self.place, self.rootfs, self.owner = place, rootfs, owner
        self.path = f"/var/tmp/bench-{os.getpid()}-{owner}"
        self._cgroup = f"/bench-{os.getpid()}-{owner}/c"

    def __enter__(self) -> "Bundle":
        self.place.ask("unpack", path=f"{self.path}/low", tar=base64.b64encode(self.rootfs).decode())
        self.place.ask("write", path=f"{self.path}/config.json", text=config(self._cgroup))
        parts = [f"{self.path}/{name}" for name in ("rootfs", "upper", "work")]
        self.place.run("mkdir", *parts)
        options = f"lowerdir={self.path}/low,upperdir={parts[1]},workdir={parts[2]}"
        self.place.run("mount", "-t", "overlay", "overlay", "-o", options, parts[0])
        return self

    def __exit__(self, *_: object) -> None:
        self.place.run("umount", f"{self.path}/rootfs", check=False)
        self.place.run("rm", "-rf", self.path)
        self.place.run("sh", "-c", f"rmdir /sys/fs/cgroup{self.parent} /sys/fs/cgroup/*{self.parent}", check=False)

    @property
    def parent(self) -> str:
        return os.path.dirname(self._cgroup)

    def run(self, runtime: str) -> float:
        return self.place.seconds(runtime, "run", "--bundle", self.path, self.owner)
