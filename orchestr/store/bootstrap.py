"""The objects that are there from the start, and come back when they were deleted while the daemon was down."""

from collections.abc import Iterator

from orchestr.api.base import KubeObject, ObjectMeta
from orchestr.api.core import Namespace
from orchestr.api.priority import SYSTEM, PriorityClass
from orchestr.api.storage import IS_DEFAULT, LOCAL, PROVISIONER, StorageClass

NAMESPACES = ("default", "kube-system")


def bootstrap() -> Iterator[KubeObject]:
    for name in NAMESPACES:
        yield Namespace(metadata=ObjectMeta(name=name))
    for name, value in SYSTEM.items():
        text = "Used for system critical pods that must not be moved from their current node."
        if name == "system-cluster-critical":
            text = "Used for system critical pods that must run in the cluster, but can be moved to another node."
        yield PriorityClass(metadata=ObjectMeta(name=name), value=value, description=text)
    yield StorageClass(
        metadata=ObjectMeta(name=LOCAL, annotations={IS_DEFAULT: "true"}),
        provisioner=PROVISIONER,
        allow_volume_expansion=True,
    )
