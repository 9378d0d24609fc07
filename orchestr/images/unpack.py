"""Unpacks one layer: a program of its own, run with few rights in a root of its own.

    python -I -m orchestr.images.unpack FD  (stdin: verified blob; working directory: the empty target; FD: results)

Before it reads a byte of the archive it makes the target its root directory in a mount namespace of its own, leaves the
network, and drops every capability that writing files as any owner does not need; so neither `..`, nor absolute or
symbolic links, nor a race can reach anything else (CVE-2021-41089, CVE-2025-47290). tarfile only parses headers here;
its extraction filters are not used (CVE-2025-4517 and those after it). Every file is made with O_EXCL|O_NOFOLLOW.

Layer rules: image-spec layer.md (whiteouts `.wh.NAME`, opaque `.wh..wh..opq`); on disk they take overlayfs' form: a
character device 0:0, and the xattr trusted.overlay.opaque. Device nodes are refused.
"""

import ctypes
import json
import os
import resource
import stat
import sys
import tarfile
import zlib
from typing import IO, Any

from orchestr.images.confined import (
    MAKE_CHAR,
    MAKE_DIR,
    MAKE_FIFO,
    MAKE_SYM,
    READ,
    REMOVE_DIR,
    WRITE,
    check,
    keep_capabilities,
    libc,
    reach_only,
)

LIMIT_ENTRIES = 2_000_000
LIMIT_BYTES = 64 << 30
LIMIT_RATIO = 500  # unpacked to packed, once more than RATIO_FROM bytes came out
LIMIT_PATH, LIMIT_DEPTH = 3072, 256  # bytes, so that PATH_MAX leaves room for where it lies; directories in each other
LIMIT_HEADER = 1 << 20  # bytes of a name, or of attributes, that stand before an entry
LIMIT_MEMORY = 1 << 30
PATIENCE = 1000  # times that a stream which has ended is read again
SHOWN = 500  # characters of a message
RATIO_FROM = 1 << 30
PIECE = 1 << 18  # bytes read, and unpacked, at a time
XATTRS = ("user.", "security.capability")
KEEP = {0: "CHOWN", 1: "DAC_OVERRIDE", 3: "FOWNER", 4: "FSETID", 21: "SYS_ADMIN", 27: "MKNOD", 31: "SETFCAP"}
RIGHTS = READ | WRITE | REMOVE_DIR | MAKE_DIR | MAKE_SYM | MAKE_FIFO | MAKE_CHAR
CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWIPC = 0x20000, 0x40000000, 0x08000000
MS_REC, MS_PRIVATE, MS_BIND, MS_REMOUNT = 0x4000, 0x40000, 0x1000, 0x20
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8


class Hostile(Exception):
    """The archive asks for something that a layer may not have."""


def confine() -> None:
    """Root directory, namespaces, capabilities. SYS_ADMIN stays for trusted.* xattrs, MKNOD for whiteouts. Neither is a
    way out: the root is the layer, in a mount namespace that holds nothing else and in which no device can be opened,
    and Landlock forbids mounts, block devices, sockets and programs."""
    check(libc.unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC), "unshare")
    check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount private")
    here = os.getcwd().encode()
    check(libc.mount(here, here, None, MS_BIND, None), "mount layer")
    check(libc.mount(None, here, None, MS_BIND | MS_REMOUNT | MS_NODEV | MS_NOSUID | MS_NOEXEC, None), "remount layer")
    os.chdir(here)
    check(libc.syscall(ctypes.c_long(pivot_root_number()), b".", b"."), "pivot_root")
    check(libc.umount2(b".", 2), "umount old root")  # MNT_DETACH
    os.chdir("/")
    keep_capabilities(KEEP)
    reach_only({"/": RIGHTS})


def pivot_root_number() -> int:
    return 155 if os.uname().machine == "x86_64" else 41


class Member(tarfile.TarInfo):
    """tarfile reads the headers that stand before an entry into memory, whatever their size."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if not 0 <= self.size <= (LIMIT_HEADER if self.type in EXTENDED else LIMIT_BYTES):  # CVE-2025-8194
            raise Hostile(f"a header says {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]


EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK)  # fmt: skip


class Packed:
    """The blob as it comes: counts what was read, and shows its first bytes."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self.size = raw, 0
        self.head = self._pending = raw.read(4)

    def read(self, size: int = -1) -> bytes:
        piece, self._pending = self._pending or self._raw.read(size), b""
        self.size += len(piece)
        return piece


class Gzip:
    """gzip with several members, as pigz and estargz write them. Never gives more than it is asked for."""

    def __init__(self, packed: Packed) -> None:
        self._packed, self._z, self._rest = packed, zlib.decompressobj(31), b""

    def read(self, size: int) -> bytes:
        while True:
            if self._z.eof:
                self._rest = (self._z.unused_data or self._packed.read(PIECE)).lstrip(b"\0")
                if not self._rest:
                    return b""
                self._z = zlib.decompressobj(31)
            self._rest = self._rest or self._packed.read(PIECE)
            if not self._rest:
                raise Hostile("it ends in the middle of its compressed data")
            try:
                out = self._z.decompress(self._rest, size)
            except zlib.error as error:
                raise Hostile(f"its compressed data is damaged: {error}") from error
            self._rest = self._z.unconsumed_tail
            if out:
                return out


class Zstd:
    """zstd with several frames. The end of a cut one shows in what was unpacked."""

    def __init__(self, packed: Packed) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        self._reader = unpacker.stream_reader(packed, read_across_frames=True)  # type: ignore[arg-type]

    def read(self, size: int) -> bytes:
        try:
            return self._reader.read(size)
        except self._error as error:
            raise Hostile(f"its compressed data is damaged: {error}") from error


def compression(head: bytes) -> type[Gzip] | type[Zstd] | None:
    """By the magic number; None for what is not compressed, or in a way that layers may not be."""
    if head[:2] == b"\x1f\x8b":
        return Gzip
    return Zstd if head[:4] == b"\x28\xb5\x2f\xfd" else None


class Counted:
    """The unpacked stream, with its digest and limits; little of it is in memory at a time. Raises Hostile."""

    def __init__(self, raw: IO[bytes]) -> None:
        import hashlib

        self._packed = Packed(raw)
        unpacker = compression(self._packed.head)
        self._plain = unpacker(self._packed) if unpacker else self._packed
        self._out, self._at, self.size, self.digest = b"", 0, 0, hashlib.sha256()
        self._ends = 0

    def read(self, size: int = PIECE) -> bytes:
        """Up to size bytes, fewer only at the end."""
        while len(self._out) - self._at < size and (data := self._plain.read(PIECE)):
            self._out, self._at = self._out[self._at :] + data, 0
            self._count(data)
        piece = self._out[self._at : self._at + size]
        self._at += len(piece)
        self._ends += not piece
        if self._ends > PATIENCE:  # tarfile looks for the end of a large entry for hours
            raise Hostile("it ends in the middle of an entry")
        return piece

    def _count(self, data: bytes) -> None:
        self.size += len(data)
        self.digest.update(data)
        self.within(self.size)

    def within(self, size: int) -> None:
        """Whether so many bytes may come of what was read so far."""
        if size > LIMIT_BYTES or (size > RATIO_FROM and size > LIMIT_RATIO * self._packed.size):
            raise Hostile(f"it unpacks to more than {size} bytes from {self._packed.size}")


class Layer:
    """Writes members below the working directory, which is the root."""

    def __init__(self, stream: Counted) -> None:
        self._stream, self.entries, self._written = stream, 0, 0

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self.entries += 1
        if self.entries > LIMIT_ENTRIES:
            raise Hostile(f"it has more than {LIMIT_ENTRIES} entries")
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if ".." in parts or "\0" in member.name:
            raise Hostile(f"entry {member.name!r} leaves the layer")
        if member.size < 0:
            raise Hostile(f"entry {member.name!r} has {member.size} bytes")
        if len(os.fsencode(member.name)) > LIMIT_PATH:
            raise Hostile(f"entry {member.name!r} has too long a name")
        if not parts:
            return self._owner(".", member)  # the root directory itself
        parent = self._folder(parts[:-1])
        try:
            self._place(archive, member, parent, parts[-1], "/".join(parts))
        finally:
            os.close(parent)
        return None

    def _folder(self, parts: list[str]) -> int:
        """A descriptor of the directory, made where it is missing. A link on the way is refused."""
        if len(parts) > LIMIT_DEPTH:
            raise Hostile(f"entry below {'/'.join(parts)!r} lies too deep")
        here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
        for part in parts:
            try:
                step = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            except FileNotFoundError:
                os.mkdir(part, 0o755, dir_fd=here)
                step = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            except OSError:
                os.close(here)
                raise Hostile(f"entry below {part!r}, which is a link or a file") from None
            os.close(here)
            here = step
        return here

    def _place(self, archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str, path: str) -> None:
        if name == ".wh..wh..opq":
            os.setxattr(parent, "trusted.overlay.opaque", b"y")
            return
        if name.startswith(".wh."):
            hidden = name.removeprefix(".wh.")
            if hidden in ("", ".", ".."):
                raise Hostile(f"whiteout {path!r} names nothing")
            self._clear(parent, hidden)
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=parent)
            return
        if not member.isdir() or not self._is_folder(parent, name):
            self._clear(parent, name)
        if member.isdir():
            self._mkdir(parent, name, member)
        elif member.issym():
            os.symlink(member.linkname, name, dir_fd=parent)
            os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
        elif member.islnk():
            self._link(member, parent, name)
        elif member.isfile():
            self._file(archive, member, parent, name)
        elif member.isfifo():
            os.mkfifo(name, 0o600, dir_fd=parent)
            self._finish(parent, name, member)
        else:
            raise Hostile(f"entry {path!r} is a device node")

    def _clear(self, parent: int, name: str) -> None:
        """What an earlier entry of this layer put there; layers may name a path twice, the last one counts."""
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            import shutil

            shutil.rmtree(name, dir_fd=parent)

    def _is_folder(self, parent: int, name: str) -> bool:
        try:
            return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    def _mkdir(self, parent: int, name: str, member: tarfile.TarInfo) -> None:
        if not self._is_folder(parent, name):
            os.mkdir(name, 0o700, dir_fd=parent)
        self._finish(parent, name, member)

    def _link(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        parts = [part for part in member.linkname.split("/") if part not in ("", ".")]
        if ".." in parts or not parts:
            raise Hostile(f"hard link {member.name!r} points outside the layer")
        folder = self._folder(parts[:-1])
        try:
            os.link(parts[-1], name, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            raise Hostile(
                f"hard link {member.name!r} points to {member.linkname!r}, which is not in the layer"
            ) from None
        finally:
            os.close(folder)

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str) -> None:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=parent)
        with open(descriptor, "wb") as file:
            source = archive.extractfile(member)
            assert source is not None
            while chunk := source.read(1 << 20):
                self._written += len(chunk)
                self._stream.within(self._written)  # of a sparse file more comes out than is in the stream
                file.write(chunk)
            file.flush()
            self._attributes(descriptor, member)
            os.fchown(descriptor, member.uid, member.gid)
            os.fchmod(descriptor, member.mode & 0o7777)
            for key, value in capabilities(member):
                os.setxattr(descriptor, key, value)  # after chown, which drops it
            os.utime(descriptor, (member.mtime, member.mtime))

    def _finish(self, parent: int, name: str, member: tarfile.TarInfo) -> None:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=parent)
        try:
            self._attributes(descriptor, member)
            os.fchown(descriptor, member.uid, member.gid)
            os.fchmod(descriptor, member.mode & 0o7777)
            os.utime(descriptor, (member.mtime, member.mtime))
        finally:
            os.close(descriptor)

    def _owner(self, path: str, member: tarfile.TarInfo) -> None:
        os.chown(path, member.uid, member.gid)
        os.chmod(path, member.mode & 0o7777)

    def _attributes(self, descriptor: int, member: tarfile.TarInfo) -> None:
        for key, value in member.pax_headers.items():
            name = key.removeprefix("SCHILY.xattr.")
            if name != key and name.startswith("user."):
                os.setxattr(descriptor, name, value.encode("utf-8", "surrogateescape"))


def capabilities(member: tarfile.TarInfo) -> list[tuple[str, bytes]]:
    value = member.pax_headers.get("SCHILY.xattr.security.capability")
    return [("security.capability", value.encode("utf-8", "surrogateescape"))] if value else []


def run(raw: IO[bytes]) -> dict[str, Any]:
    """Unpacks into the working directory; {"diff_id", "size", "entries"} or {"error"}."""
    stream = Counted(raw)
    layer = Layer(stream)
    try:
        with tarfile.open(fileobj=stream, mode="r|", errorlevel=2, tarinfo=Member) as archive:  # type: ignore[call-overload]
            for member in archive:
                layer.add(archive, member)
                archive.members = []  # a stream's members are of no use again, and there may be millions
        while stream.read():
            pass  # the padding counts for the digest
    except (Hostile, tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        return {"error": printable(str(error) or type(error).__name__)}
    except (MemoryError, RecursionError):
        return {"error": "its headers need too much memory"}
    except OSError as error:
        where = f" at {error.filename!r}" if error.filename else ""
        return {"error": printable(f"{error.strerror or error}{where}"), "errno": error.errno}
    return {"diff_id": f"sha256:{stream.digest.hexdigest()}", "size": stream.size, "entries": layer.entries}


def printable(text: str) -> str:
    """One line that does nothing to a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:SHOWN])


def main() -> int:
    import encodings.idna
    import hashlib
    import shutil

    import zstandard

    del encodings, hashlib, shutil, zstandard  # imported before the root directory changes (CVE-2019-14271)
    confine()
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_MEMORY, LIMIT_MEMORY))
    os.umask(0)
    answer = run(sys.stdin.buffer)
    with open(int(sys.argv[1]), "w", encoding="utf-8") as results:
        json.dump(answer, results)
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
