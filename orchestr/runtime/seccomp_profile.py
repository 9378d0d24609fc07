"""The default seccomp profile as data: an allow-list by subject, everything else EPERM.

In the spirit of Docker's: what an application needs is in, what administers the machine is in only with the capability
for it, what has been a way into the kernel (io_uring, userfaultfd, kexec, keyctl, new namespaces) is out.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from orchestr.runtime.seccomp import PROFILE

_ALLOWED: Final = {
    "files": """
        access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat
        faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat
        fcntl fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64
        futimesat getcwd getdents getdents64 ioctl lchown lchown32 link linkat _llseek lseek lstat lstat64
        mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 pread64 preadv preadv2
        pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv rename renameat renameat2 rmdir
        sendfile sendfile64 splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range
        syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice
        write writev cachestat statmount listmount
    """,
    "attributes": """
        fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr
        lsetxattr removexattr setxattr getxattrat setxattrat listxattrat removexattrat
    """,
    "waiting": """
        epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old
        eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
        _newselect pause poll ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4 io_cancel
        io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit
    """,
    "memory": """
        brk madvise membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect
        mremap msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease
        remap_file_pages map_shadow_stack mseal
    """,
    "processes": """
        arch_prctl capget capset execve execveat exit exit_group fork getpgid getpgrp getpid getppid
        getpriority getrlimit getrusage getsid gettid get_robust_list get_thread_area ioprio_get ioprio_set
        kill modify_ldt pidfd_open pidfd_send_signal prctl prlimit64 process_vm_readv process_vm_writev ptrace
        restart_syscall rseq seccomp setpgid setpriority setrlimit setsid set_robust_list set_thread_area
        set_tid_address sysinfo tgkill times tkill ugetrlimit uname vfork wait4 waitid waitpid
        landlock_add_rule landlock_create_ruleset landlock_restrict_self
    """,
    "identity": """
        getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32
        getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32
        setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid
        setreuid32 setuid setuid32
    """,
    "signals": """
        rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
        rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn
    """,
    "scheduling": """
        getcpu sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min
        sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
        sched_setparam sched_setscheduler sched_yield
    """,
    "time": """
        adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
        clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time
        timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
        timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
    """,
    "exchange": """
        futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue ipc mq_getsetattr mq_notify mq_open
        mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv
        msgsnd pipe pipe2 semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget getrandom
    """,
    "sockets": """
        accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
        recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
    """,
}
_WITH_CAPABILITY: Final = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree
        perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
        keyctl
    """,
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module init_module finit_module",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "iopl ioperm",
    "CAP_SYS_TIME": "settimeofday stime clock_settime clock_settime64",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYSLOG": "syslog",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}
_NEW_NAMESPACES: Final = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
_AF_VSOCK: Final = 40  # leads to the hypervisor
_PERSONALITIES: Final = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
_ENOSYS: Final = 38


def default(capabilities: Iterable[str]) -> dict[str, Any]:
    """OCI `linux.seccomp` for a process with these capabilities. Native architecture and its 32-bit ones."""
    held = set(capabilities)
    names = " ".join(_ALLOWED.values()).split()
    for capability, extra in _WITH_CAPABILITY.items():
        if capability in held:
            names += extra.split()
    allowed = sorted(set(names))
    rules: list[dict[str, Any]] = [{"names": allowed, "action": "SCMP_ACT_ALLOW"}]
    rules.append(_when("socket", "SCMP_CMP_NE", _AF_VSOCK))
    rules += [_when("personality", "SCMP_CMP_EQ", value) for value in _PERSONALITIES]
    if "CAP_SYS_ADMIN" not in held:
        rules.append(_when("clone", "SCMP_CMP_MASKED_EQ", _NEW_NAMESPACES))
        # Its flags lie in memory where a filter cannot look; libc falls back to clone on ENOSYS.
        rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS})
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": _architectures(),
        "syscalls": rules,
    }


def _when(name: str, operator: str, value: int) -> dict[str, Any]:
    condition = {"index": 0, "value": value, "op": operator}
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [condition]}


def _architectures() -> list[str]:
    import os

    native = {"x86_64": ("X86_64", "X86", "X32"), "aarch64": ("AARCH64", "ARM")}[os.uname().machine]
    return [f"SCMP_ARCH_{name}" for name in native]


_expanded: dict[frozenset[str], dict[str, Any]] = {}


def expand(config: Mapping[str, Any], sets: Mapping[str, Iterable[str]]) -> Mapping[str, Any]:
    """The marker {"x-orch.profile": "default"} becomes the profile for the process's bounding set; else `config`."""
    if config.get(PROFILE) != "default":
        return config
    held = frozenset(sets.get("bounding") or ())
    if held not in _expanded:
        _expanded[held] = default(held)
    return _expanded[held]


def key(config: Mapping[str, Any], sets: Mapping[str, Iterable[str]]) -> str:
    """Names what the marker expands to; "" for a configuration that stands for itself."""
    return f"default {' '.join(sorted(sets.get('bounding') or ()))}" if config.get(PROFILE) == "default" else ""
