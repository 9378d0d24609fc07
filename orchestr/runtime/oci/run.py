"""run: create and start; in the foreground until the command ends, whose exit code is ours."""

import os
from collections.abc import Callable
from typing import Any, Final

from orchestr.runtime.oci import create, delete, start
from orchestr.runtime.oci.options import Call, Command, Option
from orchestr.runtime.spawn import Launched

OPTIONS: Final = {
    **create.CREATE,
    "detach": Option("return when the command runs", short="d"),
    "keep": Option("do not delete the container when it has ended"),
    "no-subreaper": Option("taken for compatibility: orphans of the container are init's in any case"),
}
# Not forwarded: those of our own children, terminal and pipes, and those that nobody can catch or that mean a bug here.
_OURS: Final = ("SIGCHLD", "SIGPIPE", "SIGURG", "SIGWINCH", "SIGKILL", "SIGSTOP", "SIGTTIN", "SIGTTOU", "SIGTSTP",
                "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL")  # fmt: skip


def run(call: Call) -> int:
    detach = call.flag("detach")
    created = create.make(call, attached=not detach)
    try:
        start.go(call.root, call.id)
    except BaseException:
        delete.away(call.root, call.id, force=True)
        raise
    if detach:
        return 0
    try:
        return wait(created.launched, created.console)
    finally:
        if not call.flag("keep"):
            delete.away(call.root, call.id, force=True)


def wait(launched: Launched, console: int) -> int:
    """Until the process ends: signals go to it, and with a terminal of ours all that is typed and written."""
    forward(launched.pid)
    if console >= 0:
        from orchestr.runtime.oci.console import relay

        relay(console, launched.pidfd)
    code = os.waitstatus_to_exitcode(os.waitpid(launched.pid, 0)[1])
    return code if code >= 0 else 128 - code


def forward(pid: int) -> None:
    from orchestr.runtime.signals import system

    def handler(number: int, frame: Any) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:  # it has ended, and we are about to learn that
            return

    ours = {getattr(system, name) for name in _OURS}
    catch: Callable[[int, Any], Any] = system.signal
    for number in system.valid_signals() - ours:
        if number < 32:
            catch(number, handler)


COMMANDS: Final = {"run": Command(run, "create and start a container", options=OPTIONS)}
