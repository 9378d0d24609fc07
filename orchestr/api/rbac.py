"""rbac.authorization.k8s.io/v1: who may do what, as roles and bindings."""

from typing import ClassVar

from orchestr.api.base import Items, KubeObject, Model
from orchestr.api.meta import LabelSelector

GROUP = "rbac.authorization.k8s.io"


class PolicyRule(Model):
    """Verbs on resources (by group, kind and name) or on URLs that are none; "*" stands for all."""

    verbs: Items[str] = ()
    api_groups: Items[str] = ()
    resources: Items[str] = ()
    resource_names: Items[str] = ()
    non_resource_urls: Items[str] = ()


class AggregationRule(Model):
    cluster_role_selectors: Items[LabelSelector] = ()


class RoleRef(Model):
    api_group: str = GROUP
    kind: str
    name: str


class Subject(Model):
    kind: str  # User, Group, ServiceAccount
    api_group: str | None = None
    name: str
    namespace: str | None = None


class Role(KubeObject):
    PLURAL: ClassVar[str] = "roles"
    GROUP: ClassVar[str] = GROUP

    api_version: str = f"{GROUP}/v1"
    kind: str = "Role"
    rules: Items[PolicyRule] = ()


class ClusterRole(KubeObject):
    PLURAL: ClassVar[str] = "clusterroles"
    GROUP: ClassVar[str] = GROUP
    NAMESPACED: ClassVar[bool] = False

    api_version: str = f"{GROUP}/v1"
    kind: str = "ClusterRole"
    aggregation_rule: AggregationRule | None = None
    rules: Items[PolicyRule] = ()


class RoleBinding(KubeObject):
    PLURAL: ClassVar[str] = "rolebindings"
    GROUP: ClassVar[str] = GROUP

    api_version: str = f"{GROUP}/v1"
    kind: str = "RoleBinding"
    subjects: Items[Subject] = ()
    role_ref: RoleRef


class ClusterRoleBinding(KubeObject):
    PLURAL: ClassVar[str] = "clusterrolebindings"
    GROUP: ClassVar[str] = GROUP
    NAMESPACED: ClassVar[bool] = False

    api_version: str = f"{GROUP}/v1"
    kind: str = "ClusterRoleBinding"
    subjects: Items[Subject] = ()
    role_ref: RoleRef
