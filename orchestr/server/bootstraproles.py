"""The roles and bindings that are there from the start, as Kubernetes has them (docs: "RBAC", default roles).

`admin`, `edit` and `view` aggregate what is labelled for them, so that the roles of custom resources join in.
At each start what is missing of them is put back, unless rbac.authorization.kubernetes.io/autoupdate says "false".
"""

from collections.abc import Sequence
from typing import Any

import trio

from orchestr.api.base import Key, KubeObject, ObjectMeta
from orchestr.api.meta import LabelSelector
from orchestr.api.rbac import AggregationRule, ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject
from orchestr.server.rbac import EVERYTHING, uncovered
from orchestr.server.user import AUTHENTICATED, MASTERS, SERVICE_ACCOUNTS, UNAUTHENTICATED
from orchestr.store.local import LocalCluster

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")
RBAC, BATCH, APPS = "rbac.authorization.k8s.io", "batch", "apps"


def _rule(verbs: Sequence[str], group: str, *resources: str) -> PolicyRule:
    return PolicyRule(verbs=tuple(verbs), api_groups=(group,), resources=resources)


def _urls(*urls: str) -> PolicyRule:
    return PolicyRule(verbs=("get",), non_resource_urls=urls)


CORE_OBJECTS = (
    "configmaps", "endpoints", "persistentvolumeclaims", "pods", "replicationcontrollers",
    "replicationcontrollers/scale", "serviceaccounts", "services",
)  # fmt: skip
APPS_OBJECTS = (
    "daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale", "statefulsets",
    "statefulsets/scale",
)  # fmt: skip
VIEW = (
    _rule(
        READ, "", *CORE_OBJECTS, "bindings", "events", "limitranges", "namespaces", "namespaces/status", "pods/log",
        "persistentvolumeclaims/status", "pods/status", "replicationcontrollers/status", "resourcequotas",
        "resourcequotas/status", "services/status",
    ),
    _rule(READ, "discovery.k8s.io", "endpointslices"),
    _rule(
        READ, APPS, *APPS_OBJECTS, "controllerrevisions", "daemonsets/status", "deployments/status",
        "replicasets/status", "statefulsets/status",
    ),
    _rule(READ, "autoscaling", "horizontalpodautoscalers", "horizontalpodautoscalers/status"),
    _rule(READ, BATCH, "cronjobs", "cronjobs/status", "jobs", "jobs/status"),
    _rule(READ, "policy", "poddisruptionbudgets", "poddisruptionbudgets/status"),
    _rule(READ, "networking.k8s.io", "ingresses", "ingresses/status", "networkpolicies"),
    _rule(READ, "metrics.k8s.io", "pods", "nodes"),
    _rule(READ, "orchestr.dev", "stacks", "stacks/status"),
)  # fmt: skip
EDIT = (
    _rule(READ, "", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"),
    _rule(("impersonate",), "", "serviceaccounts"),
    _rule(
        WRITE, "", "pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "configmaps", "events",
        "persistentvolumeclaims", "replicationcontrollers", "replicationcontrollers/scale", "secrets",
        "serviceaccounts", "services", "services/proxy",
    ),
    _rule(("patch", "update"), "", "pods/resize", "pods/ephemeralcontainers"),
    _rule(("create",), "", "pods/eviction", "serviceaccounts/token"),
    _rule(
        WRITE, APPS, "daemonsets", "deployments", "deployments/rollback", "deployments/scale", "replicasets",
        "replicasets/scale", "statefulsets", "statefulsets/scale",
    ),
    _rule(WRITE, "autoscaling", "horizontalpodautoscalers"),
    _rule(WRITE, BATCH, "cronjobs", "jobs"),
    _rule(WRITE, "policy", "poddisruptionbudgets"),
    _rule(WRITE, "networking.k8s.io", "ingresses", "networkpolicies"),
    _rule((*WRITE, *READ), "coordination.k8s.io", "leases"),
    _rule(WRITE, "orchestr.dev", "stacks"),
)  # fmt: skip
ADMIN = (
    _rule(("create",), "authorization.k8s.io", "localsubjectaccessreviews"),
    _rule((*WRITE, *READ), RBAC, "rolebindings", "roles"),
)
HEALTH = ("/healthz", "/livez", "/readyz", "/version", "/version/")


def _meta(name: str, **labels: str) -> ObjectMeta:
    return ObjectMeta(name=name, labels={**LABELS, **labels}, annotations={AUTOUPDATE: "true"})


def _role(name: str, *rules: PolicyRule, to: str = "") -> ClusterRole:
    labels = {f"{AGGREGATE}{to}": "true"} if to else {}
    return ClusterRole(metadata=_meta(name, **labels), rules=rules)


APPROVERS = {
    "kube-apiserver-client-approver": "kube-apiserver-client",
    "kube-apiserver-client-kubelet-approver": "kube-apiserver-client-kubelet",
    "kubelet-serving-approver": "kubelet-serving",
    "legacy-unknown-approver": "legacy-unknown",
}


def _approver(name: str, signer: str) -> ClusterRole:
    rule = PolicyRule(
        verbs=("approve",), api_groups=("certificates.k8s.io",), resources=("signers",), resource_names=(signer,)
    )
    return _role(f"system:certificates.k8s.io:{name}", rule)


def _aggregated(name: str, rules: tuple[PolicyRule, ...], to: str = "") -> ClusterRole:
    role = _role(name, *rules, to=to)
    selector = LabelSelector(match_labels={f"{AGGREGATE}{name}": "true"})
    return role.but(aggregation_rule=AggregationRule(cluster_role_selectors=(selector,)))


ROLES = (
    _role("cluster-admin", *EVERYTHING),
    _aggregated("admin", (*ADMIN, *EDIT, *VIEW)),
    _aggregated("edit", (*EDIT, *VIEW), to="admin"),
    _aggregated("view", VIEW, to="edit"),
    _role("system:aggregate-to-admin", *ADMIN, to="admin"),
    _role("system:aggregate-to-edit", *EDIT, to="edit"),
    _role("system:aggregate-to-view", *VIEW, to="view"),
    _role("system:discovery", _urls("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *HEALTH)),
    _role(
        "system:basic-user",
        _rule(("create",), "authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectrulesreviews"),
        _rule(("create",), "authentication.k8s.io", "selfsubjectreviews"),
    ),
    _role("system:public-info-viewer", _urls(*HEALTH)),
    _role(
        "system:service-account-issuer-discovery",
        _urls("/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks",
              "/openid/v1/jwks/"),
    ),
    _role(
        "system:monitoring",
        _urls("/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/metrics/*", "/readyz", "/readyz/*"),
    ),
    _role(
        "system:persistent-volume-provisioner",
        _rule(("create", "delete", "get", "list", "watch"), "", "persistentvolumes"),
        _rule((*READ, "update"), "", "persistentvolumeclaims"),
        _rule(READ, "storage.k8s.io", "storageclasses"),
        _rule(("watch",), "", "events"),
        _rule(("create", "patch", "update"), "", "events"),
        _rule(("create", "patch", "update"), "events.k8s.io", "events"),
    ),
    *(_approver(name, f"kubernetes.io/{signer}") for name, signer in APPROVERS.items()),
    _role(
        "system:auth-delegator",
        _rule(("create",), "authentication.k8s.io", "tokenreviews"),
        _rule(("create",), "authorization.k8s.io", "subjectaccessreviews"),
    ),
)  # fmt: skip


def _binding(name: str, *groups: str) -> ClusterRoleBinding:
    subjects = tuple(Subject(kind="Group", api_group=RBAC, name=group) for group in groups)
    return ClusterRoleBinding(metadata=_meta(name), subjects=subjects, role_ref=RoleRef(kind="ClusterRole", name=name))


BINDINGS = (
    _binding("cluster-admin", MASTERS),
    _binding("system:discovery", AUTHENTICATED),
    _binding("system:basic-user", AUTHENTICATED),
    _binding("system:public-info-viewer", AUTHENTICATED, UNAUTHENTICATED),
    _binding("system:monitoring", "system:monitoring"),
    _binding("system:service-account-issuer-discovery", SERVICE_ACCOUNTS),
)


async def ensure(cluster: LocalCluster) -> None:
    """Makes what is missing; all of it shares a few commits of the store."""
    async with trio.open_nursery() as nursery:
        for wanted in (*ROLES, *BINDINGS):
            row = cluster.row(type(wanted), Key("", wanted.metadata.name))
            if row is None:
                nursery.start_soon(cluster.create, wanted)
            elif (mended := _mended(row.object, wanted)) is not None:
                nursery.start_soon(cluster.update, mended)


def _mended(there: Any, wanted: KubeObject) -> KubeObject | None:
    """The object with what it lacks; None when that is nothing, or nobody may. Pure."""
    if there.metadata.annotations.get(AUTOUPDATE) == "false":
        return None
    if isinstance(wanted, ClusterRole):
        lacking = () if wanted.aggregation_rule else uncovered(there.rules, wanted.rules)
        return there.but(rules=(*there.rules, *lacking)) if lacking else None
    assert isinstance(wanted, ClusterRoleBinding)
    missing = [subject for subject in wanted.subjects if subject not in there.subjects]
    return there.but(subjects=(*there.subjects, *missing)) if missing else None
