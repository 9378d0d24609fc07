"""Node (core/v1): this machine."""

from typing import Annotated, Any, ClassVar

from orchestr.api.base import Condition, Dict, Items, KubeObject, Model
from orchestr.api.quantity import Quantity
from orchestr.api.schema import Kept


class NodeAddress(Model):
    type: str  # InternalIP, Hostname
    address: str


class NodeSystemInfo(Model):
    machine_id: str = ""
    system_uuid: str = ""
    boot_id: str = ""
    kernel_version: str = ""
    os_image: str = ""
    container_runtime_version: str = ""
    kubelet_version: str = ""
    kube_proxy_version: str = ""
    operating_system: str = "linux"
    architecture: str = ""


class NodeSpec(Model):
    pod_cidr: str | None = None
    pod_cidrs: Items[str] = ()
    provider_id: str | None = None
    unschedulable: bool | None = None
    taints: Annotated[Any, Kept("[@core.v1.Taint")] = None


class ContainerImage(Model):
    names: Items[str] = ()
    size_bytes: int | None = None


class NodeStatus(Model):
    capacity: Dict[Quantity] = {}
    allocatable: Dict[Quantity] = {}
    conditions: Items[Condition] = ()
    addresses: Items[NodeAddress] = ()
    node_info: NodeSystemInfo | None = None
    images: Items[ContainerImage] = ()


class Node(KubeObject):
    PLURAL: ClassVar[str] = "nodes"
    NAMESPACED: ClassVar[bool] = False
    SHORT: ClassVar[tuple[str, ...]] = ("no",)

    api_version: str = "v1"
    kind: str = "Node"
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()
