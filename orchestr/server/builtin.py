"""The columns that Kubernetes prints for each of its kinds, and ours for Stack. Data.

Source: names, order and priorities of pkg/printers/internalversion of Kubernetes 1.36.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from orchestr.server import cells, podcells
from orchestr.server.columns import AGE, NAME, Cell, Column, age, at, created, field

Columns = Sequence[Column]
wide = partial(Column, priority=1)
count = partial(Column, type="integer")
CREATED = Column("Created At", created)


def template(*path: str, selector: Cell | None = None) -> Columns:
    """What -o wide adds for a kind with a pod template."""
    found = [wide("Containers", cells.containers(*path)), wide("Images", cells.images(*path))]
    return [*found, *([wide("Selector", selector)] if selector else [])]


SPEC = ("spec", "template", "spec")
LABELS = cells.selector("spec", "selector")

POD: Columns = (
    NAME,
    Column("Ready", podcells.ready),
    Column("Status", podcells.state),
    Column("Restarts", podcells.restarts),
    AGE,
    wide("IP", cells.text("status", "podIP")),
    wide("Node", cells.text("spec", "nodeName")),
    wide("Nominated Node", cells.text("status", "nominatedNodeName")),
    wide("Readiness Gates", podcells.gates),
)
REPLICAS: Columns = (
    NAME,
    count("Desired", cells.number("spec", "replicas", default=1)),
    count("Current", cells.number("status", "replicas")),
    count("Ready", cells.number("status", "readyReplicas")),
    AGE,
)
DEPLOYMENT: Columns = (
    NAME,
    Column("Ready", cells.out_of(("spec", "replicas"))),
    count("Up-to-date", cells.number("status", "updatedReplicas")),
    count("Available", cells.number("status", "availableReplicas")),
    AGE,
    *template(*SPEC, selector=LABELS),
)
DAEMON_SET: Columns = (
    NAME,
    count("Desired", cells.number("status", "desiredNumberScheduled")),
    count("Current", cells.number("status", "currentNumberScheduled")),
    count("Ready", cells.number("status", "numberReady")),
    count("Up-to-date", cells.number("status", "updatedNumberScheduled")),
    count("Available", cells.number("status", "numberAvailable")),
    Column("Node Selector", cells.plain_selector(*SPEC, "nodeSelector")),
    AGE,
    *template(*SPEC, selector=LABELS),
)
JOB: Columns = (
    NAME,
    Column("Status", cells.job_state),
    Column("Completions", cells.completions),
    Column("Duration", cells.duration),
    AGE,
    *template(*SPEC, selector=LABELS),
)
CRON_JOB: Columns = (
    NAME,
    Column("Schedule", field("spec", "schedule")),
    Column("Timezone", cells.text("spec", "timeZone")),
    Column("Suspend", lambda wire, now: str(bool(at(wire, "spec", "suspend")))),
    count("Active", cells.count("status", "active")),
    Column("Last Schedule", cells.last_schedule),
    AGE,
    *template("spec", "jobTemplate", *SPEC, selector=cells.selector("spec", "jobTemplate", "spec", "selector")),
)
SERVICE: Columns = (
    NAME,
    Column("Type", field("spec", "type", default="ClusterIP")),
    Column("Cluster-IP", cells.text("spec", "clusterIP")),
    Column("External-IP", cells.external_ip),
    Column("Port(s)", cells.ports),
    AGE,
    wide("Selector", cells.plain_selector("spec", "selector")),
)
NODE: Columns = (
    NAME,
    Column("Status", cells.node_state),
    Column("Roles", cells.roles),
    AGE,
    Column("Version", field("status", "nodeInfo", "kubeletVersion")),
    wide("Internal-IP", cells.address("InternalIP")),
    wide("External-IP", cells.address("ExternalIP")),
    wide("OS-Image", cells.text("status", "nodeInfo", "osImage", nothing="<unknown>")),
    wide("Kernel-Version", cells.text("status", "nodeInfo", "kernelVersion", nothing="<unknown>")),
    wide("Container-Runtime", cells.text("status", "nodeInfo", "containerRuntimeVersion", nothing="<unknown>")),
)
EVENT: Columns = (
    Column("Last Seen", cells.last_seen),
    Column("Type", field("type")),
    Column("Reason", field("reason")),
    Column("Object", cells.about),
    wide("Subobject", cells.part),
    wide("Source", cells.source),
    Column("Message", lambda event, now: str(event.get("message") or event.get("note") or "").strip()),
    wide("First Seen", cells.first_seen),
    wide("Count", cells.times),
    wide("Name", field("metadata", "name")),
)
VOLUME: Columns = (
    NAME,
    Column("Capacity", field("spec", "capacity", "storage")),
    Column("Access Modes", cells.access("spec", "accessModes")),
    Column("Reclaim Policy", field("spec", "persistentVolumeReclaimPolicy")),
    Column("Status", cells.claim_state),
    Column("Claim", cells.claim_of),
    Column("StorageClass", field("spec", "storageClassName")),
    Column("VolumeAttributesClass", cells.text("spec", "volumeAttributesClassName", nothing="<unset>")),
    Column("Reason", field("status", "reason")),
    AGE,
    wide("VolumeMode", cells.text("spec", "volumeMode", nothing="<unset>")),
)
CLAIM: Columns = (
    NAME,
    Column("Status", cells.claim_state),
    Column("Volume", field("spec", "volumeName")),
    Column("Capacity", field("status", "capacity", "storage")),
    Column("Access Modes", cells.access("status", "accessModes")),
    Column("StorageClass", field("spec", "storageClassName")),
    Column("VolumeAttributesClass", cells.text("spec", "volumeAttributesClassName", nothing="<unset>")),
    AGE,
    wide("VolumeMode", cells.text("spec", "volumeMode", nothing="<unset>")),
)
AUTOSCALER: Columns = (
    NAME,
    Column("Reference", cells.scaled),
    Column("Targets", cells.targets),
    Column("MinPods", cells.text("spec", "minReplicas", nothing="<unset>")),
    count("MaxPods", cells.number("spec", "maxReplicas")),
    count("Replicas", cells.number("status", "currentReplicas")),
    AGE,
)
BINDING: Columns = (
    NAME,
    Column("Role", cells.role),
    AGE,
    wide("Users", cells.subjects("User")),
    wide("Groups", cells.subjects("Group")),
    wide("ServiceAccounts", cells.subjects("ServiceAccount")),
)
WEBHOOKS: Columns = (NAME, count("Webhooks", cells.count("webhooks")), AGE)
PARAM_KIND = Column("ParamKind", cells.param_kind)
POLICY_BINDING: Columns = (
    NAME,
    Column("PolicyName", cells.text("spec", "policyName")),
    Column("ParamRef", cells.param_ref),
    AGE,
)
RBAC, ADMISSION = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"

COLUMNS: Mapping[tuple[str, str], Columns] = {
    ("", "Pod"): POD,
    ("", "PodTemplate"): (
        NAME,
        Column("Containers", cells.containers("template", "spec")),
        Column("Images", cells.images("template", "spec")),
        Column("Pod Labels", cells.plain_selector("template", "metadata", "labels")),
    ),
    ("", "ReplicationController"): (
        *REPLICAS,
        *template(*SPEC, selector=cells.plain_selector("spec", "selector")),
    ),
    ("", "Service"): SERVICE,
    ("", "Endpoints"): (NAME, Column("Endpoints", cells.subsets), AGE),
    ("", "Node"): NODE,
    ("", "Event"): EVENT,
    ("events.k8s.io", "Event"): EVENT,
    ("autoscaling", "Scale"): (
        NAME,
        Column("Desired", field("spec", "replicas", default=0), "integer"),
        Column("Available", field("status", "replicas", default=0), "integer"),
        AGE,
    ),
    ("apiregistration.k8s.io", "APIService"): (
        NAME,
        Column("Service", lambda wire, now: "Local"),
        Column("Available", lambda wire, now: "True"),
        AGE,
    ),
    ("", "Namespace"): (NAME, Column("Status", field("status", "phase")), AGE),
    ("", "Secret"): (NAME, Column("Type", field("type", default="Opaque")), count("Data", cells.count("data")), AGE),
    ("", "ConfigMap"): (
        NAME,
        count("Data", lambda wire, now: len(wire.get("data") or ()) + len(wire.get("binaryData") or ())),
        AGE,
    ),
    ("", "ServiceAccount"): (NAME, count("Secrets", cells.count("secrets")), AGE),
    ("", "PersistentVolume"): VOLUME,
    ("", "PersistentVolumeClaim"): CLAIM,
    ("", "ResourceQuota"): (
        NAME,
        Column("Request", cells.quota(limits=False)),
        Column("Limit", cells.quota(limits=True)),
        AGE,
    ),
    ("", "LimitRange"): (NAME, CREATED),
    ("apps", "Deployment"): DEPLOYMENT,
    ("apps", "ReplicaSet"): (*REPLICAS, *template(*SPEC, selector=LABELS)),
    ("apps", "StatefulSet"): (NAME, Column("Ready", cells.out_of(("spec", "replicas"))), AGE, *template(*SPEC)),
    ("apps", "DaemonSet"): DAEMON_SET,
    ("apps", "ControllerRevision"): (
        NAME,
        Column("Controller", cells.controller),
        count("Revision", cells.number("revision")),
        AGE,
    ),
    ("batch", "Job"): JOB,
    ("batch", "CronJob"): CRON_JOB,
    ("autoscaling", "HorizontalPodAutoscaler"): AUTOSCALER,
    ("discovery.k8s.io", "EndpointSlice"): (
        NAME,
        Column("AddressType", field("addressType")),
        Column("Ports", cells.slice_ports),
        Column("Endpoints", cells.slice_endpoints),
        AGE,
    ),
    ("networking.k8s.io", "Ingress"): (
        NAME,
        Column("Class", cells.text("spec", "ingressClassName")),
        Column("Hosts", cells.hosts),
        Column("Address", cells.ingress_address),
        Column("Ports", cells.ingress_ports),
        AGE,
    ),
    ("networking.k8s.io", "IngressClass"): (
        NAME,
        Column("Controller", field("spec", "controller")),
        Column("Parameters", cells.parameters),
        AGE,
    ),
    ("networking.k8s.io", "NetworkPolicy"): (NAME, Column("Pod-Selector", cells.selector("spec", "podSelector")), AGE),
    ("policy", "PodDisruptionBudget"): (
        NAME,
        Column("Min Available", cells.text("spec", "minAvailable", nothing="N/A")),
        Column("Max Unavailable", cells.text("spec", "maxUnavailable", nothing="N/A")),
        count("Allowed Disruptions", cells.number("status", "disruptionsAllowed")),
        AGE,
    ),
    ("storage.k8s.io", "StorageClass"): (
        Column("Name", cells.default_class, format="name"),
        Column("Provisioner", field("provisioner")),
        Column("ReclaimPolicy", field("reclaimPolicy", default="Delete")),
        Column("VolumeBindingMode", field("volumeBindingMode", default="Immediate")),
        Column("AllowVolumeExpansion", cells.boolean("allowVolumeExpansion")),
        AGE,
    ),
    ("scheduling.k8s.io", "PriorityClass"): (
        NAME,
        count("Value", cells.number("value")),
        Column("Global-Default", cells.boolean("globalDefault")),
        AGE,
        Column("PreemptionPolicy", field("preemptionPolicy", default="PreemptLowerPriority")),
    ),
    ("node.k8s.io", "RuntimeClass"): (NAME, Column("Handler", field("handler")), AGE),
    ("coordination.k8s.io", "Lease"): (NAME, Column("Holder", field("spec", "holderIdentity")), AGE),
    ("certificates.k8s.io", "CertificateSigningRequest"): (
        NAME,
        AGE,
        Column("SignerName", cells.text("spec", "signerName")),
        Column("Requestor", field("spec", "username")),
        Column("RequestedDuration", cells.lasting),
        Column("Condition", cells.request_state),
    ),
    (RBAC, "Role"): (NAME, CREATED),
    (RBAC, "ClusterRole"): (NAME, CREATED),
    (RBAC, "RoleBinding"): BINDING,
    (RBAC, "ClusterRoleBinding"): BINDING,
    (ADMISSION, "MutatingWebhookConfiguration"): WEBHOOKS,
    (ADMISSION, "ValidatingWebhookConfiguration"): WEBHOOKS,
    (ADMISSION, "ValidatingAdmissionPolicy"): (
        NAME,
        count("Validations", cells.count("spec", "validations")),
        PARAM_KIND,
        AGE,
    ),
    (ADMISSION, "MutatingAdmissionPolicy"): (
        NAME,
        count("Mutations", cells.count("spec", "mutations")),
        PARAM_KIND,
        AGE,
    ),
    (ADMISSION, "ValidatingAdmissionPolicyBinding"): POLICY_BINDING,
    (ADMISSION, "MutatingAdmissionPolicyBinding"): POLICY_BINDING,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (NAME, CREATED),
    ("orchestr.dev", "Stack"): (
        NAME,
        Column("Ready", cells.stack_ready),
        Column("Status", cells.stack_state),
        AGE,
        wide("Services", lambda wire, now: cells.joined((wire.get("spec") or {}).get("services") or ())),
    ),
    ("metrics.k8s.io", "PodMetrics"): (NAME, Column("Window", field("window")), Column("Age", age("timestamp"))),
}
