"""Content negotiation: in which form a client wants its answer, by Accept, and in which form its body comes.

JSON is what the store holds. YAML is the same data; Table and PartialObjectMetadata are views of it. Protobuf is not
spoken: a client that names it gets JSON, which its libraries read by the answer's own content type.
"""

from collections.abc import Collection
from typing import NamedTuple

from orchestr.api.errors import ApiError
from orchestr.server.answer import JSON
from orchestr.server.body import PROTOBUF

YAML = "application/yaml"
AS_JSON = (JSON, "application/*", "*/*", PROTOBUF)
META = ("meta.k8s.io", ("v1", "v1beta1"))
TABLE, PARTIAL, PARTIAL_LIST = "Table", "PartialObjectMetadata", "PartialObjectMetadataList"


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


class Form(NamedTuple):
    """One way to answer: the media type, and the kind that the data is shown as ("" as it is)."""

    media: str = JSON
    as_: str = ""
    group: str = ""
    version: str = ""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}"

    @property
    def content_type(self) -> str:
        """Only discovery's clients look for the view in it."""
        discovery = self.group == "apidiscovery.k8s.io"
        return f"{self.media};g={self.group};v={self.version};as={self.as_}" if discovery else self.media


PLAIN = Form()


class Offer(NamedTuple):
    media: str
    parameters: dict[str, str]

    @property
    def quality(self) -> float:
        try:
            return float(self.parameters.get("q", "1"))
        except ValueError:
            return 0.0


def offers(accept: str) -> list[Offer]:
    """What a client takes, the dearest first. RFC 9110, 12.5.1."""
    found = []
    for clause in accept.split(","):
        media, *words = (word.strip() for word in clause.split(";"))
        if media:
            parameters = {name.strip().lower(): value.strip() for name, _, value in (w.partition("=") for w in words)}
            found.append(Offer(media.lower(), parameters))
    return sorted((offer for offer in found if offer.quality > 0), key=lambda offer: -offer.quality)


def form(accept: str | None, views: Collection[str] = ()) -> Form:
    """The first form that the client names and the answer can take. NotAcceptable when there is none."""
    if not accept or accept in (JSON, "*/*"):
        return PLAIN
    for offer in offers(accept):
        if (found := _form(offer, views)) is not None:
            return found
    raise NotAcceptable(f"cannot answer as {accept[:200]!r}: not supported (accept {JSON} or {YAML})")


def _form(offer: Offer, views: Collection[str]) -> Form | None:
    media = YAML if offer.media == YAML else JSON if offer.media in AS_JSON else None
    if media is None:
        return None
    if not (kind := offer.parameters.get("as", "")):
        return Form(media)
    group, version = offer.parameters.get("g", ""), offer.parameters.get("v", "")
    return Form(media, kind, group, version) if f"{group}/{version} {kind}" in views else None


def views(*kinds: str) -> frozenset[str]:
    """Kinds of meta.k8s.io as `form` wants them."""
    group, versions = META
    return frozenset(f"{group}/{version} {kind}" for kind in kinds for version in versions)


OBJECT_VIEWS = views(TABLE, PARTIAL)
LIST_VIEWS = views(TABLE, PARTIAL_LIST)
WATCH_VIEWS = views(TABLE, PARTIAL)
DISCOVERY_VIEWS = frozenset(f"apidiscovery.k8s.io/{v} APIGroupDiscoveryList" for v in ("v2", "v2beta1"))


def yaml_bytes(data: object) -> bytes:
    import yaml

    return yaml.dump(data, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False).encode()
