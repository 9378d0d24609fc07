"""Starts orch-supervisor, detached from the daemon: own session, init's child, none of the daemon's descriptors."""

import os
import subprocess
import sys

from orchestr.runtime.seam import RuntimeFailure

_TRIES = 5  # one that ends without a word was killed: by whom it may be, the next one may live
_DEADLINE = 20.0  # seconds for taking over what is there; a machine full of containers takes a second or two


def supervisor(run: str) -> None:
    """Blocks until one serves in this run directory, this one or another. RuntimeFailure with what stopped it."""
    os.makedirs(run, mode=0o700, exist_ok=True)
    for _ in range(_TRIES):
        said = _started(run)
        if said in (b"ready", b"running"):
            return
        if said:
            break
    text = (
        said.decode(errors="replace") or f"cannot start the supervisor: it was killed {_TRIES} times while it started"
    )
    raise RuntimeFailure(f"{text} (see {run}/supervisor.log)", reason="SupervisorFailed")


def _started(run: str) -> bytes:
    """Starts one and waits: what it said before it serves or ends."""
    ready, end = os.pipe2(os.O_CLOEXEC)
    try:
        command = [sys.executable, "-I", "-m", "orchestr.runtime.supervisor", "--run", run, "--ready", str(end)]
        starter = subprocess.Popen(command, pass_fds=(end,), stdin=subprocess.DEVNULL, cwd="/")
    finally:
        os.close(end)
    try:
        starter.wait(_DEADLINE)  # it forks at once; its child goes on
        with open(ready, "rb", closefd=False) as file:
            return file.read()  # to the end: closed by "ready", or by death
    finally:
        os.close(ready)
