"""Terminals: one of the caller's, relayed while the command stays; one handed to a console socket; none."""

import os
import pty
import signal
import socket
import subprocess
import termios
from contextlib import suppress
from pathlib import Path

from e2e.checks import eventually
from e2e.runtime.bundles import Bundle, Oci


class Foreground:
    """The command in the foreground of a terminal of ours."""

    def __init__(self, bundle: Bundle, *words: str) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (33, 99))
        self.out = b""
        self.process = subprocess.Popen(
            bundle.oci.argv(*words), stdin=slave, stdout=slave, stderr=slave, env=bundle.oci.environ, close_fds=True
        )
        os.close(slave)
        os.set_blocking(self.master, False)

    def sees(self, text: bytes) -> bool:
        with suppress(OSError):
            self.out += os.read(self.master, 4096)
        return text in self.out

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def end(self) -> int:
        code = self.process.wait(30)
        os.close(self.master)
        return code


def shell(oci: Oci, *args: str) -> Bundle:
    return oci.bundle(*(args or ("sh",)), process={"terminal": True})


def test_what_is_typed_goes_in_and_what_is_written_comes_out(oci: Oci) -> None:
    bundle = shell(oci)
    front = Foreground(bundle, "run", "--bundle", str(bundle.path), bundle.id)
    front.type(b"echo si''ze $(stty size)\n")
    eventually(lambda: front.sees(b"size 33 99"))
    termios.tcsetwinsize(front.master, (44, 88))
    front.process.send_signal(signal.SIGWINCH)  # the kernel sends it where it is the controlling terminal
    eventually(lambda: (front.type(b"stty size\n"), front.sees(b"44 88"))[1])
    front.type(b"exit 7\n")
    assert front.end() == 7


def test_exec_has_a_terminal_of_its_own(oci: Oci) -> None:
    bundle = oci.bundle("sleep", "1000").up()
    front = Foreground(bundle, "exec", "-t", bundle.id, "sh", "-c", "tty; read a; echo got-$a; exit 5")
    eventually(lambda: front.sees(b"/dev/pts/0"))
    front.type(b"x\n")
    eventually(lambda: front.sees(b"got-x"))
    assert front.end() == 5


def test_without_a_terminal_of_the_caller_it_is_a_pipe(oci: Oci) -> None:
    bundle = shell(oci, "sh", "-c", "test -t 0 && test -t 1 && echo yes")
    assert bundle.run().out == "yes\n"


def test_a_signal_goes_to_the_process(oci: Oci) -> None:
    bundle = oci.bundle("sh", "-c", "trap 'exit 9' USR1; echo ready > /ready; while true; do sleep 0.05; done")
    process = subprocess.Popen(oci.argv("run", "--bundle", str(bundle.path), bundle.id), env=oci.environ)
    eventually(lambda: (bundle.rootfs / "ready").exists())
    process.send_signal(signal.SIGUSR1)
    assert process.wait(30) == 9


def test_an_end_by_a_signal_is_128_and_its_number(oci: Oci) -> None:
    assert oci.bundle("sh", "-c", "kill -9 $$").run(code=None).code in (0, 137)  # pid 1 may ignore its own
    bundle = oci.bundle("sleep", "1000").up()
    bundle.exec("sh", "-c", "kill -9 $$", code=137)


def test_a_console_socket_gets_the_master(oci: Oci, tmp_path: Path) -> None:
    """Docker and Podman: one connection, one message, one descriptor."""
    bundle = shell(oci)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(tmp_path / "c"))
        server.listen()
        bundle.create("--console-socket", str(tmp_path / "c"))
        connection, _ = server.accept()
        with connection:
            _, (fd,), _, _ = socket.recv_fds(connection, 100, 1)
            assert connection.recv(1) == b""
    bundle.start()
    os.write(fd, b"echo he''re\n")
    seen = b""

    def sees() -> bool:
        nonlocal seen
        seen += os.read(fd, 4096)
        return b"here" in seen

    eventually(sees)
    os.close(fd)


def test_create_with_a_terminal_needs_a_socket(oci: Oci) -> None:
    assert "without setting console socket" in shell(oci).create(code=1).err
    assert "cannot use console socket" in oci.bundle().create("--console-socket", "/nowhere", code=1).err


def test_a_socket_where_nobody_listens_undoes_the_create(oci: Oci, tmp_path: Path) -> None:
    bundle = shell(oci)
    assert "is somebody listening?" in bundle.create("--console-socket", str(tmp_path / "none"), code=1).err
    assert "does not exist" in oci("state", bundle.id, code=1).err


def test_for_a_pipe_the_lines_of_a_terminal_end_in_one_character(oci: Oci) -> None:
    """As in runc, but where both sides are terminals: who reads us is a program, or a file."""
    bundle = shell(oci, "echo", "line")
    done = subprocess.run(
        oci.argv("run", "--bundle", str(bundle.path), bundle.id), env=oci.environ, stdin=subprocess.DEVNULL, check=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert done.stdout == b"line\n"
    bundle = oci.bundle().up()
    done = subprocess.run(oci.argv("exec", "-t", bundle.id, "echo", "line"), env=oci.environ, stdout=subprocess.PIPE)
    assert done.stdout == b"line\n"
