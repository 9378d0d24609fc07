"""A virtual machine under test: QEMU without KVM, driven by shell commands over a virtio port.

What `cut()` means. SIGKILL to QEMU takes the guest's memory away at once, page cache and all: what the guest had not
written to its disk is lost. What it had written but not flushed would still be there, because the host that keeps
the file lives on; a real disk with a volatile cache may lose it. So the disk goes through QEMU's blklogwrites, which
notes every write and flush, and after the cut `powerlog.replay` builds the disk from what it was at power-on plus
the writes up to the last flush that completed. A missing fsync and a flush that never reaches the disk both lose data.
"""

import json
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from e2e.checks import Result
from e2e.vm import powerlog
from e2e.vm.image import Image
from e2e.vm.source import source

BOOT = 240.0  # seconds; under emulation on a busy machine
CPUS, MEMORY = 2, "2G"
APPEND = "root=/dev/vda rw console=ttyS0 quiet panic=-1 systemd.show_status=0 net.ifnames=0 "


@dataclass
class Command:
    """One that runs in the machine. `lines` gives its output as it comes."""

    shell: str
    answers: "queue.Queue[Mapping[str, object]]" = field(default_factory=queue.Queue)
    out: str = ""
    err: str = ""
    code: int | None = None

    def take(self, timeout: float) -> bool:
        """One more answer; False when the machine is gone. TimeoutError after `timeout` seconds."""
        try:
            answer = self.answers.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"{self.shell}: no answer within {timeout:.0f} s\n{self.out}{self.err}") from None
        self.out += str(answer.get("out", ""))
        self.err += str(answer.get("err", ""))
        code = answer.get("code")
        self.code = code if isinstance(code, int) else self.code
        return bool(answer)

    def lines(self, timeout: float = 60) -> Iterator[str]:
        """Whole lines of standard output until the command or the machine ends."""
        told = 0
        while self.code is None and self.take(timeout):
            whole = self.out.rfind("\n") + 1
            yield from self.out[told:whole].splitlines()
            told = whole


class Machine:
    def __init__(self, image: Image, folder: Path) -> None:
        self.image, self.folder = image, folder
        self.disk, self.before = folder / "disk.raw", folder / "before.raw"
        self.log, self.source, self.console = folder / "writes.log", folder / "source.tar", folder / "console.txt"
        self.qemu: subprocess.Popen[bytes] | None = None
        self.boots: queue.Queue[str] = queue.Queue()  # ids of boots; "" when QEMU is gone
        self.listener: threading.Thread | None = None
        self.commands: dict[int, Command] = {}
        self.number = 0
        self.console.unlink(missing_ok=True)
        _copy(image.disk, self.disk)

    # power

    def start(self) -> float:
        """Switches it on and waits until it takes commands; seconds it took."""
        began = time.monotonic()
        source(self.source)
        _copy(self.disk, self.before)
        self.log.unlink(missing_ok=True)
        self.log.touch()
        ours, theirs = socket.socketpair()
        self.port = ours
        with theirs, open(self.console, "ab") as console:
            self.qemu = subprocess.Popen(
                self._words(theirs.fileno()), pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                stdout=console, stderr=console,
            )  # fmt: skip
        self.boots = queue.Queue()
        self.listener = threading.Thread(target=self._listen, args=(ours, self.boots), daemon=True)
        self.listener.start()
        self.booted()
        return time.monotonic() - began

    def _words(self, port: int) -> list[str]:
        noted = f"driver=blklogwrites,node-name=noted,file=disk,log=log,log-sector-size={powerlog.SECTOR}"
        noted += f",log-super-update-interval={1 << 40}"  # else the super block runs ahead of the last flush
        return [
            "nice", "-n", "10", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max",
            "-smp", str(CPUS), "-m", MEMORY, "-nodefaults", "-no-user-config", "-nographic", "-serial", "stdio",
            "-monitor", "none",
            "-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd), "-append", APPEND,
            "-blockdev", f"driver=raw,node-name=disk,cache.no-flush=on,file.driver=file,file.filename={self.disk}",
            "-blockdev", f"driver=file,node-name=log,cache.no-flush=on,filename={self.log}",
            "-blockdev", noted,
            "-device", "virtio-blk-pci,drive=noted,write-cache=on",
            "-blockdev", f"driver=raw,node-name=source,read-only=on,file.driver=file,file.filename={self.source}",
            "-device", "virtio-blk-pci,drive=source,serial=source",
            "-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng",
            "-device", "virtio-serial-pci", "-chardev", f"socket,id=orch,fd={port}",
            "-device", "virtserialport,chardev=orch,name=orch",
        ]  # fmt: skip

    def booted(self, timeout: float = BOOT) -> str:
        """Waits for the next boot to take commands; its id."""
        try:
            boot = self.boots.get(timeout=timeout)
        except queue.Empty:
            boot = ""
        assert boot, f"the machine did not start:\n{self.said()}"
        return boot

    def reboot(self) -> float:
        """As a user would; seconds until it takes commands again."""
        began = time.monotonic()
        self.ask("systemctl reboot")
        self.booted()
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL to QEMU, and to nothing else; what it still said is read. Again is fine."""
        assert self.qemu is not None
        assert self.listener is not None
        self.qemu.send_signal(signal.SIGKILL)
        self.qemu.wait()
        self.listener.join()
        self.port.close()

    def cut(self) -> None:
        """The power goes away; the disk keeps what was flushed (see above)."""
        self.kill()
        powerlog.replay(self.log, self.before)
        self.before.replace(self.disk)

    def end(self) -> None:
        if self.qemu is not None:
            self.kill()
        for path in (self.disk, self.before, self.log):
            path.unlink(missing_ok=True)

    # commands

    def ask(self, shell: str, *, stdin: str = "", timeout: float = 120) -> Command:
        """Starts a command and goes on."""
        self.number += 1
        command = self.commands[self.number] = Command(shell)
        words = {"id": self.number, "shell": shell, "stdin": stdin, "timeout": timeout}
        self.port.sendall(json.dumps(words).encode() + b"\n")
        return command

    def run(self, shell: str, *, stdin: str = "", timeout: float = 120) -> Result:
        """Runs a command to its end."""
        command = self.ask(shell, stdin=stdin, timeout=timeout)
        while command.code is None:
            assert command.take(timeout + 30), f"the machine went away during {shell}:\n{self.said()}"
        return Result((shell,), command.code, command.out, command.err)

    def sh(self, shell: str, **options: float) -> str:
        """What a command prints; asserts that it exits 0."""
        done = self.run(shell, **options)  # type: ignore[arg-type]
        assert done.code == 0, f"{shell}: exit {done.code}\n{done.out}\n{done.err}"
        return done.out

    def write(self, path: str, text: str) -> None:
        done = self.run(f"mkdir -p $(dirname {path}) && cat > {path}", stdin=text)
        assert done.code == 0, done.err

    def said(self, lines: int = 40) -> str:
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-lines:])

    def _listen(self, port: socket.socket, boots: "queue.Queue[str]") -> None:
        with port.makefile("rb") as file:
            for line in file:
                answer = json.loads(line)
                if "boot" in answer:
                    self._gone()
                    boots.put(answer["boot"])
                else:
                    self.commands[answer["id"]].answers.put(answer)
        self._gone()
        boots.put("")

    def _gone(self) -> None:
        """Commands of an earlier life get no more answers."""
        for command in self.commands.values():
            command.answers.put({})


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", source, target], check=True)
