"""Attacks on the program that enters a container: its file, its memory, its descriptors, its terminal, its keys."""

import ctypes
import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.checks import eventually
from e2e.runtime import bundles
from e2e.runtime.bundles import Bundle, Oci
from e2e.security.inside import USERNS, own_by_userns, said, with_python

KEYCTL, ADD_KEY = 250, 248  # x86_64
pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of system calls")

# Keeps its own program's file open, becomes another, and writes to the file once nobody runs it.
OVERWRITE = """
import posix
fd = posix.open("/proc/self/exe", posix.O_RDONLY)
posix.set_inheritable(fd, True)
posix.write(1, b"hostile\\n")
posix.execv("/bin/sh", ["sh", "-c", f'''
    n=0
    until echo overwritten 2> /tmp/why > /proc/self/fd/{fd} || grep -q Read-only /tmp/why || test $n = 400
    do n=$((n + 1)); usleep 5000; done 2> /dev/null
    touch /tmp/over
'''])
"""


def own_program(directory: Path, module: str) -> tuple[str, Path]:
    """orch-oci on a copy of the interpreter, which an attack may well destroy: (the command, the copy)."""
    program, here = directory / "bin/python", Path(sys.prefix)
    (directory / "bin").mkdir(parents=True)
    (directory / "lib").symlink_to(here / "lib")
    shutil.copy(os.path.realpath(sys.executable), program)
    shutil.copy(here / "pyvenv.cfg", directory)
    command = directory / "bin/orch-oci"
    command.write_text(f"#!{program}\nfrom {module} import main\nmain()\n")
    command.chmod(0o755)
    return str(command), program


def with_loader(bundle: Bundle) -> Bundle:
    """The image holds what the runtime's own program needs to start, and hostile code for it to find."""
    program = os.path.realpath(sys.executable)
    for word in subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.split():
        if word.startswith("/"):
            target = bundle.rootfs / word[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(os.path.realpath(word), target)
    (bundle.rootfs / "evil/encodings").mkdir(parents=True)
    (bundle.rootfs / "evil/encodings/__init__.py").write_text(OVERWRITE)
    libraries = ":".join({"/" + str(path.parent.relative_to(bundle.rootfs)) for path in bundle.rootfs.rglob("*.so.*")})
    env = ["PATH=/bin", "PYTHONPATH=/evil", "PYTHONHOME=/evil", f"LD_LIBRARY_PATH={libraries}"]
    (bundle.rootfs / "entry").write_text("#!/proc/self/exe\n")
    (bundle.rootfs / "entry").chmod(0o755)
    (bundle.rootfs / "shortcut").symlink_to("/proc/self/exe")
    return bundle.config({"process": {"env": env}})


def attack(bundle: Bundle, command: str, enter: str) -> None:
    """Returns once the hostile process has done what it could, or when nothing hostile came to run."""
    over = bundle.rootfs / "tmp/over"
    with (bundle.path / "out").open("w") as file:
        if enter == "run":
            bundle.config({"process": {"args": [command]}})
            words = ["run", "--bundle", str(bundle.path), bundle.id]
        else:
            words = ["exec", bundle.id, command]
        subprocess.run(bundle.oci.argv(*words[:1], "--detach", *words[1:]), stdout=file, stderr=file,
                       stdin=subprocess.DEVNULL, env=bundle.oci.environ, check=False)  # fmt: skip
    left = 0 if enter == "run" else 1  # processes once nothing hostile runs
    eventually(lambda: over.exists() or len(bundle.oci.processes()) == left, within=10)


@pytest.mark.parametrize("command", ["/entry", "/shortcut", "/proc/self/exe"])
@pytest.mark.parametrize("enter", ["run", "exec"])
def test_the_runtimes_own_program_cannot_be_overwritten(
    oci: Oci, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, enter: str
) -> None:
    """CVE-2019-5736: the command is, or names as its interpreter, the program that enters the container."""
    path, program = own_program(tmp_path / "own", "orchestr.runtime.oci")
    monkeypatch.setattr(bundles, "COMMAND", path)
    bundle = with_loader(oci.bundle("/bin/sleep", "1000"))
    if enter == "exec":
        bundle.up()
    before = program.read_bytes()
    attack(bundle, command, enter)
    assert program.read_bytes() == before


def test_without_the_seal_it_would_be(oci: Oci, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trap of the test above does close."""
    path, program = own_program(tmp_path / "own", "orchestr.runtime.oci.command")
    monkeypatch.setattr(bundles, "COMMAND", path)
    attack(with_loader(oci.bundle()), "/entry", "run")
    assert program.read_bytes() == b"overwritten\n"
    monkeypatch.undo()  # the command is no more


# Looks at every process that appears, as closely as it can, until it is told to end.
WATCH = """
import ctypes, json, os, posix
libc, seen, got = ctypes.CDLL(None), set(), []
def attempt(pid):
    base = f"/proc/{pid}"
    tries = {
        "exe": lambda: os.open(base + "/exe", os.O_RDONLY),
        "root": lambda: os.open(base + "/root", os.O_RDONLY),
        "cwd": lambda: os.open(base + "/cwd", os.O_RDONLY),
        "mem": lambda: os.open(base + "/mem", os.O_RDWR),
        "fd": lambda: [os.open(base + "/fd/" + name, os.O_PATH) for name in os.listdir(base + "/fd")][0],
        "environ": lambda: open(base + "/environ").read(),
        "maps": lambda: open(base + "/maps").read(),
        "seize": lambda: libc.ptrace(0x4206, pid, 0, 0) and [][0] or os.waitpid(pid, 0x40000000),
    }
    for name, call in tries.items():
        try:
            before = open(base + "/comm", "rb").read()
            call()
            if b"true" not in before and b"true" not in open(base + "/comm", "rb").read():
                got.append(name)
        except (OSError, IndexError):
            pass
last, sightings = 1, 0
print("watching", flush=True)
while not os.path.exists("/tmp/end"):
    for pid in range(last + 1, last + 4):
        try:
            if b"true" not in open(f"/proc/{pid}/comm", "rb").read():
                sightings += 1
                attempt(pid)
        except OSError:
            continue
        last = max(last, pid - 1) if not os.path.exists(f"/proc/{pid}") else last
    names = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    last = max(names[0], *(n for n in names), 1) if max(names) > last + 3 else last
print(json.dumps({"sightings": sightings, "got": sorted(set(got))}), flush=True)
"""


@pytest.mark.parametrize("userns", [True, False])
def test_who_enters_cannot_be_looked_at_or_traced(oci: Oci, userns: bool) -> None:
    """CVE-2016-9962, CVE-2019-5736: until it has become the command, it is nobody's to trace, open or read."""
    bundle = with_python(oci.bundle(), WATCH)
    capabilities = [*bundle.data["process"]["capabilities"]["bounding"], *(["CAP_SYS_PTRACE"] if userns else [])]
    bundle.config({"process": {"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities)}})
    if userns:
        bundle.config({"linux": USERNS})
        own_by_userns(bundle.rootfs)
    out = bundle.path / "out"
    with out.open("w") as file:
        subprocess.run(oci.argv("create", "--bundle", str(bundle.path), bundle.id), stdout=file, stderr=file,
                       stdin=subprocess.DEVNULL, env=oci.environ, check=True)  # fmt: skip
    bundle.start()
    eventually(lambda: "watching" in out.read_text())
    for _ in range(12):
        bundle.exec("/bin/true")
    (bundle.rootfs / "tmp/end").touch()
    eventually(lambda: "sightings" in out.read_text())
    found = said(out.read_text())
    assert found["sightings"], "it was there to be seen"
    assert found["got"] == []


TYPE = """
import fcntl, json, termios
def attempt(call, *args):
    try:
        fcntl.ioctl(0, call, *args)
        return "done"
    except OSError as error:
        return error.errno
print(json.dumps([attempt(termios.TIOCSCTTY, 0), attempt(termios.TIOCSCTTY, 1), attempt(0x5412, b"x"),
                  attempt(0x5412 | 1 << 32, b"x") if 0 else 1, attempt(0x541C, b"\\x03")]))
"""


@pytest.mark.parametrize("enter", ["run", "exec"])
def test_the_callers_terminal_is_not_typed_on(oci: Oci, enter: str) -> None:
    """CVE-2017-5226: a container on its caller's terminal cannot put keystrokes there (TIOCSTI), nor take it over."""
    if Path("/proc/sys/dev/tty/legacy_tiocsti").read_text() != "1\n":
        pytest.skip("this kernel types for nobody (dev.tty.legacy_tiocsti=1 would make it)")
    bundle = with_python(oci.bundle(), TYPE)
    words = ("run", "--bundle", str(bundle.path), bundle.id)
    if enter == "exec":
        command = bundle.data["process"]["args"]
        bundle.config({"process": {"args": ["/bin/sleep", "1000"]}}).up()
        words = ("exec", bundle.id, *command)
    pid, master = pty.fork()
    if pid == 0:
        os.execve(oci.argv()[0], oci.argv(*words), oci.environ)
    text = b""
    while select.select([master], [], [], 20)[0]:
        try:
            text += os.read(master, 4096)
        except OSError:  # EIO: the last of them has closed it
            break
    os.close(master)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, text
    assert "done" not in said(text.decode()), text


def secret_keyring(perm: int = 0x3F000000) -> None:
    """This process gets a session keyring with a secret that only its possessors see."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(KEYCTL, 1, None)
    key = libc.syscall(ADD_KEY, b"user", b"orch-test-secret", b"secret", 6, -3)
    assert key > 0
    assert libc.syscall(KEYCTL, 5, key, perm) == 0


LOOK = """
import ctypes
libc = ctypes.CDLL(None)
data = ctypes.create_string_buffer(100)
key = libc.syscall(250, 10, -3, b"user", b"orch-test-secret", 0)
length = libc.syscall(250, 11, key, data, 100) if key > 0 else 0
print("key", key, "holds", data.raw[:length] or b"nothing")
"""


def test_the_callers_keys_stay_with_it(oci: Oci) -> None:
    """A session keyring is inherited: whoever possesses it has every key in it. Not a container."""
    if not Path("/proc/keys").exists():
        pytest.skip("this kernel keeps no keys (CONFIG_KEYS)")
    look = [sys.executable, "-I", "-c", LOOK]
    mine = subprocess.run(look, preexec_fn=secret_keyring, capture_output=True, text=True, check=True)
    assert "holds b'secret'" in mine.stdout, "a child does possess it"
    bundle = with_python(oci.bundle(), LOOK)
    command = bundle.data["process"]["args"]
    assert "holds b'nothing'" in bundle.run(preexec_fn=secret_keyring).out
    bundle.config({"process": {"args": ["/bin/sleep", "1000"]}}).up()
    assert "holds b'nothing'" in bundle.exec(*command, preexec_fn=secret_keyring).out


EXHAUST = """
import ctypes, os, sys
os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
libc, count = ctypes.CDLL(None), 0
while libc.syscall(248, b"user", b"k%d" % count, b"x", 1, -4) > 0: count += 1
print(count, flush=True)
sys.stdin.read()
"""


def test_no_room_for_a_keyring_is_no_reason_to_share_the_callers(oci: Oci) -> None:
    """The container's user may have used up the keys that he may have (EDQUOT): then nothing is run."""
    bundle = with_python(oci.bundle(linux=USERNS), LOOK)
    own_by_userns(bundle.rootfs)
    look = bundle.data["process"]["args"]
    bundle.config({"process": {"args": ["/bin/sleep", "1000"]}}).up()
    command = [sys.executable, "-I", "-c", EXHAUST, "1700000"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as greedy:
        assert greedy.stdout is not None
        assert int(greedy.stdout.readline()) > 10
        done = bundle.exec(*look, code=None, preexec_fn=secret_keyring)
        assert greedy.stdin is not None
        greedy.stdin.close()
    assert "secret'" not in done.out
    assert "keyring" in done.err
