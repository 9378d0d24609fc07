"""Images and layers made by hand, also such as no tool would make."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """One member of a layer."""

    name: str
    content: bytes = b""
    type: bytes = tarfile.REGTYPE
    link: str = ""
    mode: int = 0o644
    uid: int = 0
    xattrs: Mapping[str, str] = {}
    device: tuple[int, int] = (0, 0)


def folder(name: str, mode: int = 0o755) -> Entry:
    return Entry(name, type=tarfile.DIRTYPE, mode=mode)


def link(name: str, target: str) -> Entry:
    return Entry(name, type=tarfile.SYMTYPE, link=target)


def hard(name: str, target: str) -> Entry:
    return Entry(name, type=tarfile.LNKTYPE, link=target)


def layer(entries: Iterable[Entry]) -> bytes:
    """An uncompressed layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type, info.linkname, info.mode, info.uid = entry.type, entry.link, entry.mode, entry.uid
            info.devmajor, info.devminor = entry.device
            info.size = len(entry.content)
            info.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in entry.xattrs.items()}
            tar.addfile(info, io.BytesIO(entry.content))
    return out.getvalue()


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def configuration(layers: Sequence[bytes], config: Mapping[str, Any] | None = None) -> bytes:
    """An image configuration; `layers` are unpacked ones."""
    rootfs = {"type": "layers", "diff_ids": [sha256(each) for each in layers]}
    return json.dumps({"architecture": "amd64", "os": "linux", "config": config or {}, "rootfs": rootfs}).encode()


def oci_files(
    layers: Sequence[bytes], config: Mapping[str, Any] | None = None, *, name: str = "made:1", packed: Any = bytes
) -> dict[str, bytes]:
    """The files of an OCI layout, by name. `packed`: how layers are compressed."""
    raw = configuration(layers, config)
    blobs = [packed(each) for each in layers]
    manifest = json.dumps({
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(raw), "size": len(raw)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": sha256(blob), "size": len(blob)}
                   for blob in blobs],
    }).encode()  # fmt: skip
    annotations = {"org.opencontainers.image.ref.name": name}
    index = {"schemaVersion": 2, "manifests": [{"digest": sha256(manifest), "annotations": annotations}]}
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode()}
    return files | {f"blobs/sha256/{sha256(blob)[7:]}": blob for blob in (raw, manifest, *blobs)}


def docker_files(
    layers: Sequence[bytes], config: Mapping[str, Any] | None = None, *, name: str = "made:1"
) -> dict[str, bytes]:
    """The files of what docker save writes."""
    raw = configuration(layers, config)
    places = {f"{sha256(each)[7:]}/layer.tar": each for each in layers}
    entry = {"Config": f"{sha256(raw)[7:]}.json", "RepoTags": [name], "Layers": list(places)}
    return {"manifest.json": json.dumps([entry]).encode(), f"{sha256(raw)[7:]}.json": raw} | places


def archive(files: Mapping[str, bytes]) -> bytes:
    return layer(Entry(name, content) for name, content in files.items())


def directory(files: Mapping[str, bytes], place: Path) -> Path:
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


def zstd(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


def pack(data: bytes) -> bytes:
    return gzip.compress(data, 1)
