"""The kinds that the daemon serves, by every name a person types. A test holds this table against the models, which
would cost a command 60 ms to import."""

from typing import TYPE_CHECKING, NamedTuple

from orchestr.cli.errors import Bad

if TYPE_CHECKING:
    from orchestr.client.sync import Client


class Kind(NamedTuple):
    kind: str
    plural: str
    group: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    version: str = "v1"

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


REGISTRATION = "admissionregistration.k8s.io"
KINDS = (
    Kind("Stack", "stacks", "orchestr.dev", ("st",)),
    Kind("Deployment", "deployments", "apps", ("deploy",)),
    Kind("StatefulSet", "statefulsets", "apps", ("sts",)),
    Kind("DaemonSet", "daemonsets", "apps", ("ds",)),
    Kind("ReplicaSet", "replicasets", "apps", ("rs",)),
    Kind("Job", "jobs", "batch"),
    Kind("HorizontalPodAutoscaler", "horizontalpodautoscalers", "autoscaling", ("hpa",), True, "v2"),
    Kind("CronJob", "cronjobs", "batch", ("cj",)),
    Kind("Pod", "pods", "", ("po",)),
    Kind("Service", "services", "", ("svc",)),
    Kind("EndpointSlice", "endpointslices", "discovery.k8s.io"),
    Kind("ConfigMap", "configmaps", "", ("cm",)),
    Kind("Secret", "secrets", ""),
    Kind("PersistentVolumeClaim", "persistentvolumeclaims", "", ("pvc",)),
    Kind("PersistentVolume", "persistentvolumes", "", ("pv",), False),
    Kind("ResourceQuota", "resourcequotas", "", ("quota",)),
    Kind("Event", "events", "", ("ev",)),
    Kind("Namespace", "namespaces", "", ("ns",), False),
    Kind("Node", "nodes", "", ("no",), False),
    Kind("ReplicationController", "replicationcontrollers", "", ("rc",)),
    Kind("LimitRange", "limitranges", "", ("limits",)),
    Kind("Endpoints", "endpoints", "", ("ep",)),
    Kind("PodTemplate", "podtemplates", ""),
    Kind("ControllerRevision", "controllerrevisions", "apps"),
    Kind("Lease", "leases", "coordination.k8s.io"),
    Kind("Ingress", "ingresses", "networking.k8s.io", ("ing",)),
    Kind("NetworkPolicy", "networkpolicies", "networking.k8s.io", ("netpol",)),
    Kind("IngressClass", "ingressclasses", "networking.k8s.io", (), False),
    Kind("PriorityClass", "priorityclasses", "scheduling.k8s.io", ("pc",), False),
    Kind("StorageClass", "storageclasses", "storage.k8s.io", ("sc",), False),
    Kind("ServiceAccount", "serviceaccounts", "", ("sa",)),
    Kind("Role", "roles", "rbac.authorization.k8s.io", ()),
    Kind("ClusterRole", "clusterroles", "rbac.authorization.k8s.io", (), False),
    Kind("RoleBinding", "rolebindings", "rbac.authorization.k8s.io", ()),
    Kind("ClusterRoleBinding", "clusterrolebindings", "rbac.authorization.k8s.io", (), False),
    Kind("RuntimeClass", "runtimeclasses", "node.k8s.io", (), False),
    Kind("PodDisruptionBudget", "poddisruptionbudgets", "policy", ("pdb",)),
    Kind("CustomResourceDefinition", "customresourcedefinitions", "apiextensions.k8s.io", ("crd", "crds"), False),
    Kind("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", REGISTRATION, (), False),
    Kind("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", REGISTRATION, (), False),
    Kind("ValidatingAdmissionPolicy", "validatingadmissionpolicies", REGISTRATION, (), False),
    Kind("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", REGISTRATION, (), False),
    Kind("MutatingAdmissionPolicy", "mutatingadmissionpolicies", REGISTRATION, (), False),
    Kind("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", REGISTRATION, (), False),
    Kind("CertificateSigningRequest", "certificatesigningrequests", "certificates.k8s.io", ("csr",), False),
)
ALL = ("stacks", "deployments", "statefulsets", "daemonsets", "cronjobs", "jobs", "pods", "services")


def _names(kind: Kind) -> tuple[str, ...]:
    return (kind.kind, kind.plural, f"{kind.plural}.{kind.group}", *kind.short)


_BY_NAME = {name.lower(): kind for kind in KINDS for name in _names(kind)}
_ask: list["Client"] = []  # tells what it serves, once that is needed


def learn_from(client: "Client") -> None:
    """Where `find` looks for kinds that are not in the table: what the server serves."""
    _ask[:] = [client]


def _learn() -> None:
    from orchestr.api.errors import ApiError
    from orchestr.client.discovery import resources
    from orchestr.client.http import NoDaemon

    while _ask:
        try:
            found = resources(_ask.pop())
        except (NoDaemon, ApiError):  # the kind stays unknown, and that is what is told
            return
        for each in found:
            kind = Kind(each.kind, each.plural, each.group, each.short, each.namespaced, each.version)
            for name in _names(kind):
                _BY_NAME.setdefault(name.lower(), kind)


def find(name: str) -> Kind:
    """By kind, plural, short name or plural.group, in any case. Bad names the nearest."""
    if (found := _BY_NAME.get(name.lower())) is None:
        _learn()
        found = _BY_NAME.get(name.lower())
    if found is None:
        import difflib

        near = difflib.get_close_matches(name.lower(), _BY_NAME, 1)
        hint = f"did you mean {near[0]}?" if near else f"kinds: {', '.join(kind.plural for kind in KINDS)}"
        raise Bad(f"orch: unknown kind {name!r} ({hint})")
    return found


def of(obj: dict[str, object]) -> Kind:
    """Of a wire object."""
    return find(str(obj["kind"]))


def references(words: list[str]) -> tuple[list[Kind], list[tuple[Kind, str]]]:
    """`pods`, `pods,svc`, `pod a b`, `pod/a svc/b`: (kinds to list, objects to get)."""
    if not words:
        return [], []
    if "/" in words[0]:
        pairs = [word.partition("/") for word in words]
        return [], [(find(kind), name) for kind, _, name in pairs]
    names = list(ALL) if words[0] == "all" else words[0].split(",")
    kinds = [find(name) for name in names]
    return (kinds, []) if len(words) == 1 else ([], [(kind, name) for kind in kinds for name in words[1:]])
