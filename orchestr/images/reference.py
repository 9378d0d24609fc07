"""Image references: "redis", "redis:7", "example.org/team/app:1@sha256:..."."""

import re
from typing import NamedTuple

from orchestr.images.seam import ImageError

_NAME = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9a-fA-F:]+\](?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Reference(NamedTuple):
    """A parsed reference (distribution-spec: name, tag, digest)."""

    name: str  # with the registry's host, if one is given
    tag: str  # "" when only a digest is given
    digest: str  # "" when there is none

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


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
