"""linux.seccomp of a bundle: what the filter does to the command, and who answers for SCMP_ACT_NOTIFY."""

import errno
import fcntl
import json
import os
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from e2e.runtime.bundles import Bundle, Oci

RECEIVE, SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, _SEND; struct seccomp_notif, seccomp_notif_resp


class Agent(threading.Thread):
    """Answers each notified call with an errno, or with 0 lets it go on, of all filters until the socket is gone."""

    def __init__(self, path: Path, answer: int) -> None:
        super().__init__(daemon=True)
        self.states: list[dict[str, Any]] = []
        self.answer = answer
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen()
        self.start()

    def run(self) -> None:
        while True:
            try:
                end, _ = self._socket.accept()
            except OSError:
                return
            with end:
                data, fds, _, _ = socket.recv_fds(end, 65536, 1)
                while more := end.recv(65536):
                    data += more
            self.states.append(json.loads(data))
            threading.Thread(target=self._serve, args=(fds[0],), daemon=True).start()

    def _serve(self, fd: int) -> None:
        try:
            while True:
                request = bytearray(80)
                fcntl.ioctl(fd, RECEIVE, request)
                (number,) = struct.unpack_from("Q", request)
                fcntl.ioctl(fd, SEND, struct.pack("QqiI", number, 0, -self.answer, not self.answer))
        except OSError:  # ENOENT: nobody is left below the filter
            os.close(fd)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def notify(bundle: Bundle, path: Path, *names: str, **more: Any) -> None:
    section = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(path), "listenerMetadata": "meta", **more}
    section["syscalls"] = [{"names": list(names), "action": "SCMP_ACT_NOTIFY"}]
    bundle.config({"linux": {"seccomp": section}})


@pytest.mark.parametrize("no_new_privs", [True, False])
def test_an_agent_answers_for_the_command_and_for_what_is_run_beside_it(
    oci: Oci, tmp_path: Path, no_new_privs: bool
) -> None:
    """config-linux.md: "the runtime will send the container process state" to listenerPath, one per connection."""
    bundle = oci.bundle("sleep", "100", process={"noNewPrivileges": no_new_privs}, annotations={"a": "b"})
    notify(bundle, tmp_path / "agent", "mkdir", "mkdirat")
    agent = Agent(tmp_path / "agent", errno.EDOM)
    bundle.up()
    done = bundle.exec("mkdir", "/x", code=1)
    agent.close()
    assert os.strerror(errno.EDOM) in done.err
    first, second = agent.states
    state = {"ociVersion": "1.2.0", "id": bundle.id, "pid": bundle.pid, "bundle": str(bundle.path)}
    state["annotations"] = {"a": "b"}
    common = {"ociVersion": "1.2.0", "fds": ["seccompFd"], "metadata": "meta"}
    assert first == {**common, "pid": bundle.pid, "state": {**state, "status": "creating"}}
    assert second["pid"] != bundle.pid
    assert second == {**common, "pid": second["pid"], "state": {**state, "status": "running"}}


def test_calls_that_the_launch_itself_makes_may_be_notified(oci: Oci, tmp_path: Path) -> None:
    bundle = oci.bundle("true", process={"noNewPrivileges": False})
    notify(bundle, tmp_path / "agent", "execve", "openat", "read", "close", "fcntl", "capset", "prctl", "dup3")
    agent = Agent(tmp_path / "agent", 0)  # lets each call through
    bundle.run()
    agent.close()


def test_without_an_agent_nothing_is_launched(oci: Oci, tmp_path: Path) -> None:
    """config-linux.md: "If sending to this socket fails, the runtime MUST generate an error"."""
    bundle = oci.bundle("true")
    notify(bundle, tmp_path / "nobody", "mkdir")
    assert "failed to connect with seccomp agent" in bundle.run(code=1).err
    notify(bundle, tmp_path / "nobody", "mkdir", listenerPath=None, listenerMetadata=None)
    assert "/linux/seccomp/listenerPath" in bundle.run(code=1).err
    notify(bundle, tmp_path / "nobody", "write")
    assert "SCMP_ACT_NOTIFY cannot be used for the write syscall" in bundle.run(code=1).err


def test_the_path_is_ignored_when_nothing_is_notified(oci: Oci, tmp_path: Path) -> None:
    """config-linux.md: "If the SCMP_ACT_NOTIFY action is not used this value is ignored." """
    bundle = oci.bundle("true")
    bundle.config({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": str(tmp_path / "nobody")}}})
    bundle.run()


def test_a_filter_that_kills_and_one_that_denies(oci: Oci) -> None:
    bundle = oci.bundle("mkdir", "/x")
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENETDOWN}
    bundle.config({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}}})
    assert os.strerror(errno.ENETDOWN) in bundle.run(code=1).err
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}
    bundle.config({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}}})
    bundle.run(code=128 + 31)


def test_a_hook_of_the_container_is_filtered_and_answered_for_too(oci: Oci, tmp_path: Path) -> None:
    """startContainer "MUST be executed in the container namespace": under the container's filter."""
    bundle = oci.bundle("true")
    script = "test $(ls /proc/self/fd | wc -l) = 4 && ! mkdir /x"
    bundle.config({"hooks": {"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}})
    notify(bundle, tmp_path / "agent", "mkdir", "mkdirat")
    agent = Agent(tmp_path / "agent", errno.EDOM)
    bundle.run()
    agent.close()
    assert len(agent.states) == 2


def test_the_flags_are_told_when_asked(oci: Oci) -> None:
    bundle = oci.bundle("true")
    bundle.config({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"]}}})
    done = oci("--debug", "run", "--bundle", str(bundle.path), bundle.id)
    assert '"seccomp filter flags: 2"' in done.err
