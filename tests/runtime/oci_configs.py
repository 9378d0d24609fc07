"""Configurations as their writers make them, for plans and for fuzzing."""

from typing import Any

SAFE = ["nosuid", "noexec", "nodev"]
CAPABILITIES = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID"]


def mount(destination: str, kind: str, *options: str, source: str = "") -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source or kind, "options": list(options)}


def config(*kinds: str, **process: Any) -> dict[str, Any]:
    return {
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "process": {"cwd": "/", "args": ["/bin/true"], "env": ["PATH=/bin", "HOME=/"], **process},
        "linux": {"namespaces": [{"type": kind} for kind in kinds]},
    }


def minimal() -> dict[str, Any]:
    return config("mount", "pid")


def docker() -> dict[str, Any]:
    """What dockerd 28 writes for `docker run -v data:/data --memory 64m redis`, less what is said twice."""
    found = config(
        *("mount", "network", "uts", "pid", "ipc", "cgroup"),
        args=["docker-entrypoint.sh", "redis-server"],
        env=["PATH=/usr/local/bin:/usr/bin", "HOSTNAME=c1", "HOME=/data"],
        cwd="/data",
        user={"uid": 999, "gid": 999, "additionalGids": [999, 1000]},
        capabilities=dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
        oomScoreAdj=0,
    )
    found["hostname"] = "c1"
    found["mounts"] = [
        mount("/proc", "proc", *SAFE),
        mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        mount("/sys", "sysfs", *SAFE, "ro"),
        mount("/sys/fs/cgroup", "cgroup", *SAFE, "ro"),
        mount("/dev/mqueue", "mqueue", *SAFE),
        mount("/dev/shm", "tmpfs", *SAFE, "mode=1777", "size=67108864"),
        mount("/data", "bind", "rbind", "rprivate", source="/nowhere/docker/volumes/data"),
    ]
    found["linux"] |= {
        "cgroupsPath": "/docker/c1",
        "resources": {"memory": {"limit": 64 << 20}},
        "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "syscalls": [{"names": ["execve", "read", "write", "exit_group"], "action": "SCMP_ACT_ALLOW"}],
        },
    }
    return found


def podman() -> dict[str, Any]:
    found = docker()
    found["process"]["user"]["umask"] = 0o22
    found["process"]["rlimits"] = [{"type": "RLIMIT_NPROC", "soft": 64, "hard": 64}]
    found["root"]["readonly"] = True
    found["mounts"] = [m for m in found["mounts"] if m["destination"] not in ("/data", "/dev/shm")]
    found["mounts"].append(mount("/dev/shm", "bind", "bind", "private", *SAFE, source="/nowhere/shm"))
    found["linux"]["namespaces"] = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "cgroup")]
    found["linux"]["namespaces"].append({"type": "network", "path": "/proc/self/ns/net"})
    found["linux"]["rootfsPropagation"] = "slave"
    found["annotations"] = {"io.container.manager": "libpod"}
    return found


def userns() -> dict[str, Any]:
    found = config("mount", "pid", "network", "ipc", "uts", "cgroup", "user", noNewPrivileges=True)
    ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    found["linux"] |= {"uidMappings": ids, "gidMappings": ids}
    found["mounts"] = [
        mount("/proc", "proc"),
        mount("/data", "bind", "rbind", "idmap", source="/nowhere/data"),
    ]
    return found


def terminal() -> dict[str, Any]:
    found = config("mount", "pid", "ipc", "uts", "network", terminal=True, consoleSize={"height": 24, "width": 80})
    found["mounts"] = [
        mount("/proc", "proc", *SAFE),
        mount("/dev", "tmpfs", "nosuid", "mode=755"),
        mount("/dev/pts", "devpts", "nosuid", "noexec", "ptmxmode=0666"),
    ]
    return found


ALL = (minimal, docker, podman, userns, terminal)
