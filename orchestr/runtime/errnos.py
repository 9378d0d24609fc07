"""What an error number of a system call means to whoever started a container; for messages, so imported when one fails.

From the ERRORS section of each call's man page, and where that is silent from the kernel's source.
"""

import errno
from typing import Final

_ID: Final = "the id is not mapped in the user namespace; see /linux/uidMappings"
_MEANINGS: Final = {
    ("bpf", errno.EPERM): "CAP_BPF or CAP_SYS_ADMIN is needed, and the memory limit of locked pages must allow it",
    ("capset", errno.EPERM): "a capability is not in the permitted or bounding set",
    ("clone3", errno.EAGAIN): "the limit on processes is reached; see RLIMIT_NPROC and pids.max",
    ("clone3", errno.EBUSY): "the cgroup hands controllers on, so no process may be in it",
    ("clone3", errno.EOPNOTSUPP): "the cgroup is in the domain invalid state",
    ("clone3", errno.ENOSPC): "a limit on namespaces is reached; see /proc/sys/user",
    ("clone3", errno.EPERM): "CAP_SYS_ADMIN is needed; user namespaces may be switched off",
    ("clone3", errno.EUSERS): "user namespaces are nested too deep",
    ("fsconfig", errno.EBUSY): "the file system is mounted already, with other options",
    ("fsconfig", errno.EINVAL): "the file system does not know this option, or not this value",
    ("fsconfig", errno.EPERM): "the user namespace does not own what is mounted",
    ("fsopen", errno.ENODEV): "the kernel has no such file system",
    ("keyctl", errno.EDQUOT): "the user's quota of keys is used up",
    ("mount_setattr", errno.EINVAL): "the file system has no idmapped mounts, or the mount is in use already",
    ("mount_setattr", errno.EPERM): "a flag is locked by a more privileged mount namespace",
    ("move_mount", errno.EINVAL): (
        "not a detached mount, or its parent is shared; for a container without a mount namespace Linux 6.15 is needed"
    ),
    ("move_mount", errno.ENOTDIR): "a file and a directory cannot be mounted on each other",
    ("openat2", errno.EAGAIN): "a rename came in between; try again",
    ("openat2", errno.ELOOP): "the path leads through a magic link or too many links",
    ("openat2", errno.EXDEV): "the path leads out of the container",
    ("open_tree", errno.EPERM): "CAP_SYS_ADMIN is needed",
    ("pivot_root", errno.EBUSY): "the new root is the old one",
    ("pivot_root", errno.EINVAL): "the root is no mount point, or on the initramfs (use --no-pivot)",
    ("prlimit64", errno.EINVAL): "the soft limit is above the hard limit",
    ("prlimit64", errno.EPERM): "CAP_SYS_RESOURCE is needed to raise a hard limit",
    ("sched_setattr", errno.EBUSY): "the processors have no such time left",
    ("sched_setattr", errno.EINVAL): "the policy does not go with these values",
    ("sched_setattr", errno.EPERM): "CAP_SYS_NICE is needed",
    ("seccomp", errno.EACCES): "CAP_SYS_ADMIN or no_new_privs is needed",
    ("seccomp", errno.EBUSY): "another filter has a listener already",
    ("seccomp", errno.EINVAL): "the kernel lacks an action or flag of the filter",
    ("setgroups", errno.EINVAL): "a group is not mapped in the user namespace; see /linux/gidMappings",
    ("setgroups", errno.EPERM): "the user namespace denies it; see setgroups in user_namespaces(7)",
    ("setns", errno.EINVAL): "a namespace of another kind, or the own one",
    ("setns", errno.EPERM): "CAP_SYS_ADMIN in the user namespace that owns it is needed",
    ("setresgid", errno.EINVAL): _ID.replace("uid", "gid"),
    ("setresuid", errno.EINVAL): _ID,
    ("unshare", errno.ENOSPC): "a limit on namespaces is reached; see /proc/sys/user",
}
_ANY: Final = {
    errno.ENOSYS: "the kernel or a seccomp filter lacks it; Linux 6.1 or newer is needed",
    errno.EPERM: "it was refused; root with CAP_SYS_ADMIN is needed",
    errno.ENOSPC: "a limit on namespaces, mounts or disk space is reached",
    errno.ELOOP: "the path leads through a magic link or out of the container",
    errno.EROFS: "make the directory in the image, or the root writable",
    errno.ENOMEM: "the memory limit is too small to start anything",
}


def meaning(call: str, code: int) -> str:
    """ "" when the error's own text says it all."""
    return _MEANINGS.get((call, code)) or _ANY.get(code, "")
