"""Layers by chance for the extractor: `python -m tests.images.fuzz_layers COUNT SEED`, as root.

It runs in a mount namespace whose only file system is a small tmpfs, with bait around the directory that is unpacked
into, and without the confinement that the program has besides: the extractor alone has to stay inside.
After each layer the bait is compared, and what came is looked at: no device but 0:0, one printable line for an error.
"""

import ctypes
import encodings.idna
import gzip
import hashlib
import io
import os
import random
import resource
import shutil
import signal
import stat
import sys
import tarfile
import time
from typing import Any

import zstandard

from orchestr.images import unpack
from orchestr.images.confined import check, libc

WORDS = ("a", "b", "c", "..", ".", "", "etc", "bait", "..", "case", ".wh.a", ".wh.b", ".wh..", ".wh...", ".wh..wh..opq",
         "x" * 255, "x" * 256, "\udcff", "\u202e", "a\nb", "-", "...", "C")  # fmt: skip
TYPES = (*(tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE) * 6, tarfile.AREGTYPE, tarfile.CHRTYPE,
         tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, tarfile.GNUTYPE_LONGNAME,
         tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE, b"V", b"D", b"\xff")  # fmt: skip
NUMBERS = ("0", "1", "-1", "512", "99999999999", "1e9", "nan", "inf", "", "0x10", "\u0664", "4\0")
KEYS = ("path", "linkpath", "size", "uid", "gid", "mtime", "hdrcharset", "charset", "GNU.sparse.major",
        "GNU.sparse.minor", "GNU.sparse.name", "GNU.sparse.realsize", "GNU.sparse.size", "GNU.sparse.map",
        "GNU.sparse.numblocks", "SCHILY.xattr.user.a", "SCHILY.xattr.user.", "SCHILY.xattr.trusted.overlay.opaque",
        "SCHILY.xattr.security.capability", "SCHILY.xattr.security.selinux", "")  # fmt: skip
BAIT = ("/etc/passwd", "/bait", "/around/bait")
CASE = "/around/case"
MS_NOATIME = 0x400  # looking around changes nothing
PATIENCE = 5  # seconds for one layer


def name(chance: random.Random) -> str:
    parts = chance.choices(WORDS, k=chance.choice((1, 1, 2, 2, 3, 4, 300) if chance.random() < 0.02 else (1, 1, 2, 3)))
    return ("/" if chance.random() < 0.1 else "") + "/".join(parts)


def header(chance: random.Random) -> bytes:
    info = tarfile.TarInfo(name(chance))
    info.type, info.linkname = chance.choice(TYPES), name(chance) if chance.random() < 0.7 else chance.choice(BAIT)
    info.mode, info.uid = chance.choice((0o644, 0o755, 0o4777, 0)), chance.choice((0, 0, 1, 65534, -1, 2**31))
    content = chance.choice((b"", b"x", b"1\n0\n4\n", b"3\n0\n9\n9\n9999999999\n", b"y" * 600))
    info.size = len(content)
    if chance.random() < 0.25:
        values = (name(chance), chance.choice(NUMBERS), "0,1,2,9999999")
        info.pax_headers = {chance.choice(KEYS): chance.choice(values) for _ in range(chance.randint(1, 3))}
    try:
        form = chance.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
        head = info.tobuf(form, "utf-8", "surrogateescape")
    except (ValueError, UnicodeError):
        head = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "replace") if info.uid >= 0 else b""
    return head + content + bytes(-len(content) % 512)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A few bytes, blocks or the end are others; checksums are right again, so that it is read on."""
    out = bytearray(data)
    for _ in range(chance.choice((0, 0, 1, 2, 5))):
        if not out:
            break
        at = chance.randrange(len(out))
        kind = chance.randrange(4)
        if kind == 0:
            out[at] = chance.choice((0, 0xFF, 0x80, 0x2F, 0x2E, chance.randrange(256)))
        elif kind == 1:
            block = at // 512 * 512
            out[block + 124 : block + 136] = chance.choice(
                (b"77777777777\0", b"\x80" + b"\xff" * 11, b"\xff" * 12, b"00000001000\0", b"            ")
            )
        elif kind == 2:
            block = at // 512 * 512
            out[block:block] = out[chance.randrange(len(out)) // 512 * 512 :][:512]
        else:
            del out[at:]
    for block in range(0, len(out) - 511, 512):
        if out[block + 257 : block + 262] == b"ustar":
            out[block + 148 : block + 156] = b" " * 8
            out[block + 148 : block + 156] = b"%06o\0 " % sum(out[block : block + 512])
    return bytes(out)


def layer(chance: random.Random) -> bytes:
    data = mutated(b"".join(header(chance) for _ in range(chance.choice((1, 2, 3, 5, 8)))), chance)
    data += bytes(1024)
    how = chance.random()
    if how < 0.05:
        return gzip.compress(data, 1)[: None if how < 0.04 else -9]
    if how < 0.1:
        return zstandard.compress(data)[: None if how < 0.09 else -9]
    return data


def enter() -> None:
    """The tmpfs with the bait is all that there is: what is imported later must be loaded before."""
    assert encodings.idna
    assert hashlib
    signal.signal(signal.SIGALRM, _hangs)
    unpack.RATIO_FROM = 1 << 20
    check(libc.unshare(unpack.CLONE_NEWNS | unpack.CLONE_NEWNET), "unshare")
    check(libc.mount(None, b"/", None, unpack.MS_REC | unpack.MS_PRIVATE, None), "mount private")
    check(libc.mount(b"fuzz", b"/mnt", b"tmpfs", MS_NOATIME, b"size=64m"), "mount tmpfs")
    os.chdir("/mnt")
    check(libc.syscall(ctypes.c_long(unpack.pivot_root_number()), b".", b"."), "pivot_root")
    check(libc.umount2(b".", 2), "umount")
    os.chdir("/")
    os.umask(0)
    for path in BAIT:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write("bait")
    resource.setrlimit(resource.RLIMIT_AS, (unpack.LIMIT_MEMORY, unpack.LIMIT_MEMORY))


def _hangs(*_: object) -> None:
    raise Hangs


class Hangs(BaseException):
    """Unpacking does not end."""


def around() -> Any:
    """All that is outside of the case."""
    places = [(*os.stat(path)[:9], os.listxattr(path)) for path in ("/", "/etc", *BAIT)]
    return places, sorted(os.listdir("/")), os.listdir("/etc"), sorted(os.listdir("/around")), os.listxattr("/around")


def inside() -> str:
    """What must not be in the case, "" for nothing."""
    for folder, folders, files in os.walk(CASE):
        for each in (*folders, *files):
            found = os.lstat(f"{folder}/{each}")
            if stat.S_ISBLK(found.st_mode) or stat.S_ISSOCK(found.st_mode) or found.st_rdev:
                return f"node {folder}/{each}"
            if stat.S_ISREG(found.st_mode) and found.st_ino in {os.stat(path).st_ino for path in BAIT}:
                return f"link to the bait {folder}/{each}"
    return ""


def tried(data: bytes, before: Any) -> tuple[str, bool]:
    """What is wrong with how it was unpacked, "" for nothing; and whether it was unpacked whole."""
    os.mkdir(CASE)
    os.chdir(CASE)
    signal.alarm(PATIENCE)
    try:
        answer = unpack.run(io.BytesIO(data))
    finally:
        signal.alarm(0)
        os.chdir("/")
    wrong = "" if not os.listdir(CASE) else inside()
    shutil.rmtree(CASE)
    if "error" in answer and not (answer["error"].isprintable() and len(answer["error"]) <= unpack.SHOWN):
        wrong = wrong or f"error {answer['error']!r}"
    after = around()
    return wrong or ("" if after == before else f"around it: {after} instead of {before}"), "diff_id" in answer


def main(count: int, seed: int) -> int:
    """Ends at the first that went wrong."""
    enter()
    os.mkdir(CASE)
    shutil.rmtree(CASE)
    before, began, whole = around(), time.monotonic(), 0
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        data = layer(chance)
        try:
            wrong, good = tried(data, before)
            whole += good
        except BaseException as error:  # whatever it is, it is told with its number
            wrong = f"{type(error).__name__}: {error}"
        if wrong:
            print(f"layer {number} of seed {seed}: {wrong}\n{data.hex()[:20000]}", flush=True)
            return 1
    print(f"{count} layers in {time.monotonic() - began:.0f} s, {whole} of them good: nothing left its place")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
