/* The floor: one container of /bin/true by the system calls of our launch and nothing else, timed. floor LOWER WORK
 *
 * Two processes, as with us: one whose namespaces (user, net, ipc, uts) a pod shares, one that joins them and makes its
 * own (pid, mount, cgroup). Root: an overlay over an idmapped clone of LOWER, given by descriptor (Linux 6.15). cgroups
 * in the v1 hierarchies that every container of ours is in, or in the v2 tree. The filter has one rule instead of three
 * hundred, there are no masks, and messages are perror's: so it is a floor, not a runtime.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <net/if.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TRY(call) ({ long r_ = (long)(call); if (r_ < 0) { perror(#call); exit(1); } r_; })
enum { BASE = 1800000, COUNT = 65536, DETACH = 2, V1 = 6 };

static const char *HIERARCHIES[] = { "cpu", "cpuacct", "memory", "pids", "devices", "freezer", "unified", "" };

static void put(const char *path, const char *text) {
    int fd = TRY(open(path, O_WRONLY | O_CLOEXEC));
    TRY(write(fd, text, strlen(text)));
    close(fd);
}

static pid_t child(unsigned long flags) { return TRY(syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0)); }

/* Born in a v2 cgroup, without the lock over all forks of the machine that moving there would take. */
static pid_t child_in(int cgroup) {
    struct clone_args args = { .flags = cgroup < 0 ? 0 : CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
    args.cgroup = cgroup < 0 ? 0 : (unsigned long)cgroup;
    return TRY(syscall(SYS_clone3, &args, sizeof args));
}

static int is_here(const char *hierarchy, char *path, size_t size, const char *name) {
    snprintf(path, size, "/sys/fs/cgroup/%s/cgroup.procs", hierarchy);
    int found = access(path, F_OK) == 0;
    snprintf(path, size, "/sys/fs/cgroup/%s/%s", hierarchy, name);
    return found;
}

static int clone_of(const char *path, int userns) {
    int fd = TRY(syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .propagation = MS_PRIVATE, .userns_fd = userns };
    TRY(syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof attr));
    return fd;
}

static int overlay(const char *low, const char *work, int userns) {
    char upper[4096], inner[4096];
    snprintf(upper, sizeof upper, "%s/floor", work);
    TRY(mkdir(upper, 0755));
    for (int i = 0; i < 2; i++) {
        snprintf(inner, sizeof inner, "%s/%s", upper, i ? "work" : "upper");
        TRY(mkdir(inner, 0755));
        TRY(chown(inner, BASE, BASE));
    }
    int lower = clone_of(low, userns), parent = clone_of(upper, userns);
    int up = TRY(openat(parent, "upper", O_PATH | O_CLOEXEC)), wk = TRY(openat(parent, "work", O_PATH | O_CLOEXEC));
    int fs = TRY(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC));
    TRY(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FD, "lowerdir+", NULL, lower));
    TRY(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FD, "upperdir", NULL, up));
    TRY(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FD, "workdir", NULL, wk));
    TRY(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0));
    TRY(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
    return TRY(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0));
}

static void mounted(const char *type, const char *target) {
    int fs = TRY(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
    TRY(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
    int mount = TRY(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID));
    TRY(syscall(SYS_move_mount, mount, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH));
}

static void inside(int root) {
    struct mount_attr private = { .propagation = MS_PRIVATE };
    TRY(syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &private, sizeof private));
    TRY(syscall(SYS_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH));
    TRY(fchdir(root));
    mounted("proc", "proc"), mounted("tmpfs", "dev");
    TRY(mkdir("dev/pts", 0755)), TRY(mkdir("dev/shm", 0755)), TRY(mkdir("dev/mqueue", 0755));
    mounted("devpts", "dev/pts"), mounted("tmpfs", "dev/shm"), mounted("mqueue", "dev/mqueue"), mounted("sysfs", "sys");
    TRY(syscall(SYS_pivot_root, ".", "."));
    TRY(syscall(SYS_umount2, ".", DETACH));
    TRY(setsid());
    TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = { 1, &allow };
    TRY(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
    char *argv[] = { "/bin/true", NULL }, *env[] = { NULL };
    TRY(execve(argv[0], argv, env));
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    struct timespec began, ended;
    char path[4096], name[64], text[64];
    snprintf(name, sizeof name, "orch-floor-%d", getpid());
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (int i = 0; i < 8; i++)
        if (is_here(HIERARCHIES[i], path, sizeof path, name)) TRY(mkdir(path, 0755));

    int go[2];
    TRY(pipe2(go, O_CLOEXEC));
    pid_t holder = child(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
    if (!holder) {
        char byte;
        TRY(read(go[0], &byte, 1));
        TRY(setresgid(0, 0, 0)), TRY(setresuid(0, 0, 0));
        TRY(sethostname("bench", 5));
        int s = TRY(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
        TRY(ioctl(s, SIOCSIFFLAGS, &lo));
        _exit(0);
    }
    snprintf(text, sizeof text, "0 %d %d", BASE, COUNT);
    snprintf(path, sizeof path, "/proc/%d/uid_map", holder), put(path, text);
    snprintf(path, sizeof path, "/proc/%d/gid_map", holder), put(path, text);
    const char *kinds[] = { "user", "net", "ipc", "uts" };
    int ns[4];
    for (int i = 0; i < 4; i++)
        snprintf(path, sizeof path, "/proc/%d/ns/%s", holder, kinds[i]), ns[i] = TRY(open(path, O_RDONLY | O_CLOEXEC));
    TRY(write(go[1], "1", 1));
    TRY(waitpid(holder, NULL, 0));

    int root = overlay(argv[1], argv[2], ns[0]), status;
    int v2 = -1;
    for (int i = V1; i < 8; i++)
        if (is_here(HIERARCHIES[i], path, sizeof path, name)) v2 = TRY(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
    pid_t outer = child_in(v2);
    if (!outer) {
        for (int i = 0; i < V1; i++)  /* `tasks`, for the same reason */
            if (is_here(HIERARCHIES[i], path, sizeof path, name)) strcat(path, "/tasks"), put(path, "0");
        for (int i = 0; i < 4; i++) TRY(setns(ns[i], 0));
        TRY(setresgid(0, 0, 0)), TRY(setresuid(0, 0, 0));
        pid_t first = child(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWCGROUP);
        if (!first) inside(root);
        TRY(waitpid(first, &status, 0));
        _exit(status != 0);
    }
    TRY(waitpid(outer, &status, 0));
    close(root);
    for (int i = 0; i < 8; i++)
        if (is_here(HIERARCHIES[i], path, sizeof path, name)) TRY(rmdir(path));
    const char *made[] = { "work/work", "work", "upper", "" };
    for (int i = 0; i < 4; i++)
        snprintf(path, sizeof path, "%s/floor/%s", argv[2], made[i]), rmdir(path);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    printf("%.9f\n", (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9);
    return status != 0;
}
