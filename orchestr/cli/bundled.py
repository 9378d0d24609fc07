"""A bundle: a tar archive that is an OCI image layout with one file more, `bundle.json`, at its end.

    {"kind": "Bundle", "apiVersion": "orchestr.dev/v1",
     "digest": "sha256:...", "items": [objects], "images": {NAME: "sha256:..."}}

`digest` is that of the items, `images` are all that they name, by the digest of the manifest. What any tool for OCI
layouts makes of the archive are its images.
"""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from orchestr.cli.errors import Bad

Object = Mapping[str, Any]
FILE, REF_NAME = "bundle.json", "org.opencontainers.image.ref.name"
HOST = "local/host"  # every machine has its own
LIMIT = 64 << 20  # bytes of a document
CONTAINERS = ("containers", "initContainers", "ephemeralContainers")


def images(items: Iterable[Object]) -> list[str]:
    """The images that the objects name, in full, in their order; not the machine's own."""
    from orchestr.images.reference import parse

    found: dict[str, None] = {}
    for item in items:
        if item.get("kind") == "Stack":
            services = item["spec"].get("services") or {}
            found |= dict.fromkeys(str(parse(each["image"])) for each in services.values())
        else:
            found |= dict.fromkeys(str(parse(name)) for name in _named(item))
    return [name for name in found if name != str(parse(HOST))]


def _named(data: Any) -> Iterator[str]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            if key in CONTAINERS and isinstance(value, list | tuple):
                yield from (each["image"] for each in value if isinstance(each, Mapping) and each.get("image"))
            yield from _named(value)
    elif isinstance(data, list | tuple):
        for each in data:
            yield from _named(each)


def _digest(items: Sequence[Object]) -> str:
    return f"sha256:{sha256(json.dumps(items, sort_keys=True, separators=(',', ':')).encode()).hexdigest()}"


def close(path: str, items: Sequence[Object], named: Sequence[str]) -> None:
    """Makes a bundle of the layout at `path`, or of nothing yet when no image is named."""
    there: dict[str, str] = {}
    if named:
        with tarfile.open(path, "r:") as tar:
            there = _index(tar, path)
    text = json.dumps({
        "kind": "Bundle", "apiVersion": "orchestr.dev/v1", "digest": _digest(items), "items": items,
        "images": {name: there[name] for name in named},
    })  # fmt: skip
    with tarfile.open(path, "a:" if named else "w:") as tar:
        info = tarfile.TarInfo(FILE)
        info.size, info.mode = len(text.encode()), 0o644
        tar.addfile(info, io.BytesIO(text.encode()))


def read(path: str) -> tuple[list[Object], dict[str, str]]:
    """Objects and images (name -> digest) of a bundle. Bad when it is none, or not as it was made."""
    try:
        with tarfile.open(path, "r:") as tar:
            document = _json(tar, FILE, path)
            items, named = document["items"], dict(document["images"])
            there = _index(tar, path) if named else {}
            if document["kind"] != "Bundle" or _digest(items) != document["digest"]:
                raise _broken(path, "its objects are not those that it was made of")
    except OSError as error:
        raise Bad(f"orch: cannot read bundle {path}: {error.strerror or error}") from error
    except (tarfile.TarError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(path, "it is no bundle, or not whole") from error
    for name in images(items):
        if name not in named or there.get(name) != named[name]:
            raise _broken(path, f"image {name} is not in it as it should be")
    return items, named


def _broken(path: str, why: str) -> Bad:
    return Bad(f"orch: cannot use bundle {path}: {why} (nothing was changed; make it anew with orch bundle create)")


def _index(tar: tarfile.TarFile, path: str) -> dict[str, str]:
    manifests = _json(tar, "index.json", path)["manifests"]
    return {each["annotations"][REF_NAME]: each["digest"] for each in manifests}


def _json(tar: tarfile.TarFile, name: str, path: str) -> dict[str, Any]:
    source = tar.extractfile(name)
    if source is None:
        raise ValueError(f"{name} of {path} is no file")
    with source:
        found: dict[str, Any] = json.loads(source.read(LIMIT))
    return found
