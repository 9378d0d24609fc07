"""Image references: "redis", "redis:7", "example.org/team/app:1@sha256:..."."""

import re
from typing import NamedTuple

from orchestr.images.seam import ImageError

_NAME = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9a-fA-F:]+\](?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
HUB = "docker.io"  # Docker's own registry has rules of its own for names
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Reference(NamedTuple):
    """A parsed reference (distribution-spec: name, tag, digest)."""

    name: str  # with the registry's host, if one is given
    tag: str  # "" when only a digest is given
    digest: str  # "" when there is none

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


class Place(NamedTuple):
    """Where a reference leads: a repository of a registry, and what in it."""

    host: str
    repository: str
    tag: str
    digest: str


def place(reference: Reference, default: str) -> Place:
    """`default` is the registry of names without a host. Docker's own keeps one-word names below library/."""
    host, slash, path = reference.name.partition("/")
    if not slash or not _is_host(host):
        host, path = default, reference.name
    if host == HUB and "/" not in path:
        path = f"library/{path}"
    return Place(host, path, reference.tag, reference.digest)


def spellings(reference: Reference, default: str) -> tuple[str, ...]:
    """The ways to write one and the same image, as given first: redis:7, docker.io/library/redis:7, ..."""
    there = place(reference, default)
    names = [reference.name, f"{there.host}/{there.repository}"]
    if there.host == default:
        names.append(there.repository)
        if there.host == HUB:
            names.append(there.repository.removeprefix("library/"))
    return tuple(dict.fromkeys(str(reference._replace(name=name)) for name in names))


def parse(text: str) -> Reference:
    """The reference; the tag is `latest` when neither tag nor digest is given. Raises ImageError."""
    rest, _, digest = text.partition("@")
    if digest and not DIGEST.fullmatch(digest):
        raise ImageError(f"cannot read image {text!r}: {digest!r} is no digest (write NAME@sha256:64 hex digits)")
    slash, colon = rest.rfind("/"), rest.rfind(":")
    name, tag = (rest[:colon], rest[colon + 1 :]) if colon > slash else (rest, "")
    if colon > slash and not _TAG.fullmatch(tag):
        raise ImageError(f"cannot read image {text!r}: {tag!r} is no tag (use letters, digits, '.', '_' and '-')")
    host, _, path = name.partition("/")
    parts = path.split("/") if path and _is_host(host) else name.split("/")
    if not name or (path and _is_host(host) and not _HOST.fullmatch(host)) or not all(map(_NAME.fullmatch, parts)):
        raise ImageError(f"cannot read image {text!r}: not a name (write [HOST/]NAME[:TAG], lower case)")
    return Reference(name, tag or ("" if digest else "latest"), digest)


def _is_host(first: str) -> bool:
    return "." in first or ":" in first or first == "localhost" or first.lower() != first
