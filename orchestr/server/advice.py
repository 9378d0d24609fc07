"""What a client is told beside a created object: that it is stored, and that nothing here will act on it."""

from collections.abc import Iterator

from orchestr.api.base import Key, KubeObject
from orchestr.api.ingress import Ingress
from orchestr.api.networking import IngressClass
from orchestr.store.local import LocalCluster


def advice(cluster: LocalCluster, made: KubeObject) -> Iterator[str]:
    """Texts for Warning headers."""
    if isinstance(made, Ingress) and not _controller(cluster, made.class_name):
        named = f"no IngressClass {made.class_name} names a controller" if made.class_name else "it has no class"
        yield f"no controller routes ingress {made.metadata.name}: {named} (install one, with its IngressClass)"


def _controller(cluster: LocalCluster, name: str) -> str:
    """The controller that the class names; "" for none."""
    row = cluster.row(IngressClass, Key("", name)) if name else None
    found = row.object if row else None
    return str((found.spec or {}).get("controller") or "") if isinstance(found, IngressClass) else ""
