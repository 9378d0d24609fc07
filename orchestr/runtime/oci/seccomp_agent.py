"""Who answers for a seccomp filter with SCMP_ACT_NOTIFY: it gets the listener and the container process state.

See runtime-spec config-linux.md, "The Container Process State".
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from orchestr.runtime import lean, seccomp
from orchestr.runtime.seam import RuntimeFailure

_PATIENCE: Final = 10.0  # seconds for it to take the message


def told_by(config: Mapping[str, Any], state: Mapping[str, Any]) -> Callable[[int, int], None] | None:
    """`launch.Target.listener` for a container's config.json; None when its filter has no listener.

    `state` is the container's, with its pid when that is not the filtered process. RuntimeFailure without a path.
    """
    section = (config.get("linux") or {}).get("seccomp") or {}
    if not section or not seccomp.notifies(section):
        return None
    path = str(section.get("listenerPath") or "")
    if not path:
        raise RuntimeFailure("cannot use SCMP_ACT_NOTIFY: /linux/seccomp/listenerPath is missing (add it)")

    def tell(fd: int, pid: int) -> None:
        process: dict[str, Any] = {"ociVersion": state["ociVersion"], "fds": ["seccompFd"], "pid": pid}
        if metadata := section.get("listenerMetadata"):
            process["metadata"] = metadata
        _send(path, lean.dumps({**process, "state": {"pid": pid, **state}}).encode(), fd)

    return tell


def _send(path: str, data: bytes, fd: int) -> None:
    """One connection, one state, the descriptor with its first byte."""
    import socket

    what = "connect with"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
            end.settimeout(_PATIENCE)
            end.connect(f"\0{path[1:]}" if path.startswith("@") else path)
            what = "send to"
            sent = socket.send_fds(end, [data], [fd])
            if sent < len(data):  # even of nothing sendall makes a call, which fails when the agent has hung up
                end.sendall(data[sent:])
    except OSError as error:
        text = error.strerror or str(error)
        raise RuntimeFailure(
            f"cannot hand on the seccomp listener: failed to {what} seccomp agent at {path}: {text} (does it run?)",
            reason="StartError",
        ) from error
