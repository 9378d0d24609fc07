"""The program that enters containers runs from a read-only mount, so that no container can overwrite it.

A container whose entrypoint is `#!/proc/self/exe`, or that looks at /proc/PID/exe of what enters it, gets hold of the
file this process runs from (CVE-2019-5736). Reached through a detached read-only clone of its mount, that file cannot
be opened for writing by anybody, machine's root included. It costs one start of the interpreter, and no memory.
"""

import ctypes
import os
import sys

from orchestr.runtime import syscalls as sc
from orchestr.runtime.initprogram import read_only


def is_sealed() -> bool:
    return bool(os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY)


def seal() -> None:
    """Executes this same program again from a read-only mount, unless it runs from one. Call it first in main.

    OSError when the kernel refuses; arguments, environment and inherited descriptors are kept.
    """
    if is_sealed():
        return
    fd = read_only(os.path.realpath("/proc/self/exe"))
    args = [os.fsencode(arg) for arg in sys.orig_argv]
    env = [b"%s=%s" % item for item in os.environb.items()]
    argv = (ctypes.c_char_p * (len(args) + 1))(*args, None)
    envp = (ctypes.c_char_p * (len(env) + 1))(*env, None)
    sc.call("execveat", fd, b"", ctypes.addressof(argv), ctypes.addressof(envp), sc.AT_EMPTY_PATH)
