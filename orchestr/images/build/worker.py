"""What a build does with files: a program of its own, a fresh child for each piece of work.

    python -I -m orchestr.images.build.worker   stdin: one JSON request a line; stdout: one JSON answer a line

A child makes its mounts in a namespace of its own and, where it writes into an image, takes the image as its root
directory; so neither a link in the image nor one in the context leads to the machine, and nothing is left mounted.
Answers: the work's result, {"refused": text} for what the Dockerfile's author must change, {"error": text} else.
"""

import ctypes
import hashlib
import json
import os
import signal
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestr.images.build import copying, packing, selecting
from orchestr.images.build.owners import owner
from orchestr.images.build.patterns import Patterns
from orchestr.images.build.trees import Refused, merged, mount_tmpfs, open_in, own_mounts
from orchestr.images.unpack import confine

Json = dict[str, Any]
PR_SET_PDEATHSIG = 1


def _tree(source: Mapping[str, Any], scratch: str) -> int:
    """{"path": directory} or {"lower": [layers, top first]}, or {"files": {name: text}}."""
    if "path" in source:
        return os.open(source["path"], os.O_RDONLY | os.O_DIRECTORY)
    place = os.path.join(scratch, "source")
    os.mkdir(place)
    if "files" in source:
        mount_tmpfs(place)
        copying.write_files(place, source["files"])
        return os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    return merged(source["lower"], "", place)


def _scratch(place: str) -> str:
    own_mounts()
    mount_tmpfs(place)
    return place


def digest(request: Json) -> Json:
    """What a COPY would copy, by content."""
    root = _tree(request["source"], _scratch(request["scratch"]))
    selected = selecting.select(root, request["sources"], request["parents"])
    return {"digest": selecting.digest(root, selected, Patterns(request["exclude"]))}


def copy(request: Json) -> Json:
    """COPY and ADD, then the layer of it. `parts`: source trees, what of each, and whether archives are unpacked."""
    scratch = _scratch(request["scratch"])
    chosen = []
    for number, part in enumerate(request["parts"]):
        os.mkdir(place := os.path.join(scratch, str(number)))
        root = _tree(part["source"], place)
        chosen.append((root, selecting.select(root, part["sources"], request["parents"]), part["unpack"]))
    if sum(len(selected) for _, selected, _ in chosen) > 1 and not request["target"].endswith("/"):
        text = f"several sources need a directory, and {request['target']} does not end in /"
        raise Refused(f"{text} (write {request['target']}/)")
    upper = _image(request, scratch)
    out = os.open(os.path.dirname(request["layer"]), os.O_RDONLY | os.O_DIRECTORY)
    _enter(request)
    image = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    copier = copying.Copier(owner(image, request["chown"]), request["chmod"], Patterns(request["exclude"]))
    for root, selected, unpack in chosen:
        copier.copy(root, selected, request["target"], parents=request["parents"], unpack=unpack)
    return _packed(upper, out, request)


def folder(request: Json) -> Json:
    """WORKDIR: the directory, if it is not there."""
    scratch = _scratch(request["scratch"])
    upper = _image(request, scratch)
    out = os.open(os.path.dirname(request["layer"]), os.O_RDONLY | os.O_DIRECTORY)
    _enter(request)
    copying.Copier(None, "", Patterns(())).folder(request["target"])
    return _packed(upper, out, request)


def _image(request: Json, scratch: str) -> int:
    """Makes the image the working directory; a descriptor of what is written to it."""
    os.mkdir(place := os.path.join(scratch, "image"))
    image = merged(request["lower"], request["step"], place)
    os.fchdir(image)
    return os.open(f"{request['step']}/upper", os.O_RDONLY | os.O_DIRECTORY)


def _enter(request: Json) -> None:
    """The working directory becomes the root directory. Refused where the machine's own directories are in the way."""
    os.chroot(".")
    real = os.path.realpath(request["target"])
    for bind in request["binds"]:
        if f"{real}/".startswith(f"{bind}/"):
            raise Refused(f"cannot write to {real}: in an image of this machine {bind} is the machine's own")


def _packed(upper: int, out: int, request: Json) -> Json:
    name = os.path.basename(request["layer"])
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=out)
    return packing.pack(upper, descriptor, request["epoch"])


def pack(request: Json) -> Json:
    """The layer of what a RUN left in its upper directory, without the mount points that the runtime made."""
    upper = os.open(f"{request['step']}/upper", os.O_RDONLY | os.O_DIRECTORY)
    out = os.open(os.path.dirname(request["layer"]), os.O_RDONLY | os.O_DIRECTORY)
    if request["stubs"]:
        image = merged(request["lower"], "", _scratch(request["scratch"]))
        os.fchdir(image)
        os.chroot(".")
        _without_stubs(upper, request["stubs"])
    return _packed(upper, out, request)


def _without_stubs(upper: int, stubs: Sequence[str]) -> None:
    """The present root directory is the image as it was before."""
    for stub in sorted({os.path.realpath(each) for each in stubs}, key=len, reverse=True):
        path = stub
        while path != "/":
            parts = path.strip("/").split("/")
            try:
                above = _descend(upper, parts[:-1])
            except OSError:
                path = os.path.dirname(path)
                continue
            try:
                gone = _drop(above, parts[-1], path)
            finally:
                os.close(above)
            if not gone:
                break
            path = os.path.dirname(path)


def _descend(folder: int, parts: Sequence[str]) -> int:
    here = os.dup(folder)
    for part in parts:
        try:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
        finally:
            os.close(here)
        here = below
    return here


def _drop(above: int, name: str, path: str) -> bool:
    """Removes an empty file or directory that the image did not have, or that is as the image had it. Was it there?"""
    try:
        status = os.stat(name, dir_fd=above, follow_symlinks=False)
    except FileNotFoundError:
        return True
    had = os.stat(path) if os.path.exists(path) else None
    if stat.S_ISDIR(status.st_mode):
        same = had is None or (had.st_mode, had.st_uid, had.st_gid) == (status.st_mode, status.st_uid, status.st_gid)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
        try:
            empty = same and not os.listdir(below) and packing.OPAQUE not in os.listxattr(below)
        finally:
            os.close(below)
        if empty:
            os.rmdir(name, dir_fd=above)
        return empty
    if had is None and stat.S_ISREG(status.st_mode) and status.st_size == 0:
        os.unlink(name, dir_fd=above)
        return True
    return False


def subtree(request: Json) -> Json:
    """A copy of one file or directory of a tree: what RUN --mount=type=bind shows. {"path"}"""
    scratch = _scratch(request["scratch"])
    root = _tree(request["source"], scratch)
    os.close(_wanted(root, request["path"]))
    place = os.path.join(request["target"], "it")
    os.chdir(request["target"])
    os.chroot(".")
    copier = copying.Copier(None, "", Patterns(()))
    selected = [selecting.Selected(request["path"].strip("/"), "")]
    copier.copy(root, selected, "/it", parents=False, unpack=False)
    return {"path": place}


def _wanted(root: int, path: str) -> int:
    try:
        return open_in(root, path)
    except OSError as error:
        raise Refused(f"{path} is not there ({error.strerror})") from error


def extract(request: Json) -> Json:
    """The context, sent as an archive, into an empty directory. Whoever sent it owns nothing in it: root does."""
    source = os.open(request["archive"], os.O_RDONLY)
    os.chdir(request["target"])
    confine()
    if not os.fstat(source).st_size:
        return {}  # there is no context
    with open(source, "rb") as file:
        copying.Copier((0, 0), "", Patterns(())).extract(file, "/")
    return {}


def download(request: Json) -> Json:
    """A file by https, checked. {"name", "digest"}"""
    from urllib.error import URLError
    from urllib.request import Request, urlopen

    total = hashlib.sha256()
    place = os.path.join(request["target"], request["name"])
    asked = Request(request["url"], headers={"User-Agent": "orch"})
    try:
        with urlopen(asked, timeout=60) as answer, open(place, "xb") as file:
            while piece := answer.read(1 << 18):
                total.update(piece)
                file.write(piece)
                if file.tell() > 8 << 30:
                    raise Refused(f"cannot get {request['url']}: it is larger than 8 GiB")
    except (URLError, OSError, ValueError) as error:
        raise Refused(f"cannot get {request['url']}: {getattr(error, 'reason', error)}") from error
    os.chmod(place, 0o600)
    os.utime(place, (0, 0))
    found = f"sha256:{total.hexdigest()}"
    if found != request["checksum"]:
        raise Refused(f"{request['url']} has digest {found}, not {request['checksum']}")
    return {"digest": found}


WORK: dict[str, Callable[[Json], Json]] = {
    each.__name__: each for each in (digest, copy, folder, pack, subtree, extract, download)
}


def _answer(request: Json) -> Json:
    try:
        return WORK[request["do"]](request)
    except Refused as error:
        return {"refused": str(error)}
    except OSError as error:
        return {"error": f"{error.strerror or error}" + (f" at {error.filename}" if error.filename else "")}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _child(line: str) -> str:
    """Does one piece of work in a child; its answer."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # with us it is of no use
        os.close(read)
        os.umask(0o022)
        with open(write, "w", encoding="utf-8") as out:
            json.dump(_answer(json.loads(line)), out)
        os._exit(0)
    os.close(write)
    with open(read, encoding="utf-8") as answer:
        found = answer.read()
    _, code = os.waitpid(pid, 0)
    return found or json.dumps({"error": f"the worker's child ended with status {code}"})


def main() -> int:
    import bz2
    import encodings.idna
    import lzma

    import zstandard

    del bz2, encodings, lzma, zstandard  # imported before a root directory changes (CVE-2019-14271)
    for line in sys.stdin:
        print(_child(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
