"""What an admission step gets: one object on its way into the store."""

from dataclasses import dataclass

from orchestr.api.base import KubeObject
from orchestr.store.site import Site
from orchestr.store.transaction import Tx


@dataclass(frozen=True)
class Request:
    tx: Tx
    site: Site
    new: KubeObject
    old: KubeObject | None  # None: a creation
    part: str = ""  # the sub-resource by which it is written

    @property
    def namespace(self) -> str:
        return self.new.metadata.namespace or ""

    @property
    def where(self) -> str:
        return f"{self.namespace}/{self.new.metadata.name}"
