"""What is done with the fields of the models, as data: the support matrix and the messages come from here.

A field of Kubernetes is in one of four classes:
  done         in the model, and in none of these tables but NOTES
  no effect    in the model and in NO_EFFECT: kept and shown, with the reason why it changes nothing here
  some values  in the model as a Literal, with the reason in SOME_VALUES: any other value is refused
  not done     in Kubernetes' tables but not in the model: refused with "not supported", and the reason in NOT_DONE
Keys are (model, field on the wire).
"""

Table = dict[tuple[str, str], str]

ONE_NODE = "there is one machine, so there is nothing to choose"

NO_EFFECT: Table = {
    ("PodSpec", "topologySpreadConstraints"): ONE_NODE,
    ("PodSpec", "schedulerName"): ONE_NODE,
    ("PodSpec", "overhead"): "it only informs a scheduler that chooses between machines",
    ("PodSpec", "priority"): "nothing is evicted to make room for another pod",
    ("PodSpec", "priorityClassName"): "nothing is evicted to make room for another pod",
    ("PodSpec", "preemptionPolicy"): "nothing is evicted to make room for another pod",
    ("PodSpec", "os"): "every pod is a Linux pod",
    ("PodSpec", "enableServiceLinks"): "services are found by name; no variables are injected for them",
    ("Container", "terminationMessagePolicy"): "there is no message file; the log tells",
    ("PodSecurityContext", "fsGroupChangePolicy"): "ownership is set whenever it differs",
    ("ServiceSpec", "externalTrafficPolicy"): ONE_NODE,
    ("ServiceSpec", "internalTrafficPolicy"): ONE_NODE,
    ("ServiceSpec", "trafficDistribution"): ONE_NODE,
    ("ServiceSpec", "allocateLoadBalancerNodePorts"): "a published port needs no second one",
    ("ServicePort", "appProtocol"): "connections are forwarded without looking inside",
    ("EndpointPort", "appProtocol"): "connections are forwarded without looking inside",
    ("Endpoint", "zone"): ONE_NODE,
    ("Endpoint", "hints"): ONE_NODE,
    ("PersistentVolumeSpec", "csi"): "no driver runs here: the volume is kept, and a pod that mounts it does not start",
    ("PersistentVolumeSpec", "mountOptions"): "directories of this machine are mounted as they are",
    ("PersistentVolumeSpec", "nodeAffinity"): ONE_NODE,
}

# Of fields that are done: what is to be known about a part of them.
NOTES: Table = {
    ("PodSpec", "ephemeralContainers"): "added by the sub-resource ephemeralcontainers, as `kubectl debug` does",
    ("PodSpec", "affinity"): "node affinity decides; pods are neither kept apart nor together, as there is one machine",
}

SOME_VALUES: Table = {
    ("MetricSpec", "type"): "what is measured is CPU and memory of pods",
    ("Container", "terminationMessagePath"): "there is no message file; the log tells",
    ("PodOS", "name"): "this machine runs Linux",
    ("PodSpec", "schedulerName"): "there is one scheduler",
    ("PodSecurityContext", "supplementalGroupsPolicy"): "groups of the image are always merged",
    ("SecurityContext", "procMount"): "masked paths in /proc are always masked",
    ("SeccompProfile", "type"): "there is one profile",
    ("VolumeMount", "mountPropagation"): "mounts do not travel between host and container",
    ("VolumeMount", "recursiveReadOnly"): "read-only is not recursive",
    ("ServicePort", "protocol"): "TCP and UDP are forwarded",
    ("ContainerPort", "protocol"): "TCP and UDP are forwarded",
    ("PersistentVolumeClaimSpec", "volumeMode"): "a claim is a directory",
}

VOLUME = "volumes are hostPath, emptyDir, configMap, secret, projected or persistentVolumeClaim"
METRICS = "what is measured is CPU and memory of pods; use type Resource or ContainerResource"
DEVICES = "devices are not handed out"
NOT_DONE: Table = {
    ("MetricSpec", "pods"): METRICS,
    ("MetricSpec", "object"): METRICS,
    ("MetricSpec", "external"): METRICS,
    ("PodSpec", "hostnameOverride"): "use hostname",
    ("PodSpec", "readinessGates"): "a pod is ready when its containers are",
    ("PodSpec", "resourceClaims"): DEVICES,
    ("PodSpec", "resources"): "set resources of the containers",
    ("PodSpec", "runtimeClassName"): "there is one runtime",
    ("PodSpec", "schedulingGroup"): "pods start one by one",
    ("PodSpec", "setHostnameAsFQDN"): "the host name is a single label",
    ("Container", "restartPolicy"): "init containers run to their end (use a second container)",
    ("Container", "restartPolicyRules"): "the pod's restartPolicy decides",
    ("Container", "volumeDevices"): "volumes are directories and files",
    ("VolumeMount", "subPathExpr"): "use subPath",
    ("Probe", "grpc"): "use tcpSocket or exec",
    ("Lifecycle", "postStart"): "use an init container, or the command",
    ("Lifecycle", "preStop"): "use stopSignal and terminationGracePeriodSeconds",
    ("DownwardAPIVolumeFile", "resourceFieldRef"): "use an environment variable",
    ("VolumeProjection", "clusterTrustBundle"): "use a ConfigMap",
    ("VolumeProjection", "podCertificate"): "use a ServiceAccount's token",
    ("EnvVarSource", "fileKeyRef"): "use a ConfigMap or Secret",
    ("ResourceRequirements", "claims"): DEVICES,
    ("ServiceSpec", "externalName"): "names outside of this machine are not served",
    ("ServiceSpec", "externalIPs"): "publish a port instead (NodePort, LoadBalancer)",
    ("ServiceSpec", "loadBalancerIP"): "publish a port instead (NodePort, LoadBalancer)",
    ("ServiceSpec", "loadBalancerClass"): "published ports are the load balancer",
    ("ServiceSpec", "loadBalancerSourceRanges"): "published ports take every source",
    ("ServiceSpec", "healthCheckNodePort"): "there is no balancer in front",
    ("ResourceQuotaSpec", "scopes"): "a quota counts every pod of its namespace",
    ("ResourceQuotaSpec", "scopeSelector"): "a quota counts every pod of its namespace",
    ("PersistentVolumeClaimSpec", "dataSource"): "a claim starts empty",
    ("PersistentVolumeClaimSpec", "dataSourceRef"): "a claim starts empty",
    ("PersistentVolumeClaimSpec", "volumeAttributesClassName"): "every claim is a local directory",
}
OTHERWISE = {
    "PersistentVolumeSpec": "volumes are directories of this machine: local or hostPath",
    "Volume": VOLUME,
    "SecurityContext": "no SELinux, AppArmor or Windows here",
    "PodSecurityContext": "no SELinux, AppArmor or Windows here",
}


def why_not(model: str, field: str) -> str:
    """The reason for a field that Kubernetes has and the model has not; may be empty."""
    return NOT_DONE.get((model, field)) or OTHERWISE.get(model, "")


# apiVersions that Kubernetes removed -> kind -> where it is now; "" as the kind stands for every other.
REMOVED: dict[str, dict[str, str]] = {
    "extensions/v1beta1": {"Ingress": "networking.k8s.io/v1", "NetworkPolicy": "networking.k8s.io/v1", "": "apps/v1"},
    "apps/v1beta1": {"": "apps/v1"},
    "apps/v1beta2": {"": "apps/v1"},
    "batch/v1beta1": {"": "batch/v1"},
    "batch/v2alpha1": {"": "batch/v1"},
    "networking.k8s.io/v1beta1": {"": "networking.k8s.io/v1"},
    "policy/v1beta1": {"": "policy/v1"},
    "rbac.authorization.k8s.io/v1beta1": {"": "rbac.authorization.k8s.io/v1"},
    "rbac.authorization.k8s.io/v1alpha1": {"": "rbac.authorization.k8s.io/v1"},
    "autoscaling/v2beta1": {"": "autoscaling/v2"},
    "autoscaling/v2beta2": {"": "autoscaling/v2"},
    "apiextensions.k8s.io/v1beta1": {"": "apiextensions.k8s.io/v1"},
    "apiregistration.k8s.io/v1beta1": {"": "apiregistration.k8s.io/v1"},
    "admissionregistration.k8s.io/v1beta1": {"": "admissionregistration.k8s.io/v1"},
    "storage.k8s.io/v1beta1": {"": "storage.k8s.io/v1"},
    "scheduling.k8s.io/v1beta1": {"": "scheduling.k8s.io/v1"},
    "scheduling.k8s.io/v1alpha1": {"": "scheduling.k8s.io/v1"},
    "discovery.k8s.io/v1beta1": {"": "discovery.k8s.io/v1"},
    "events.k8s.io/v1beta1": {"": "events.k8s.io/v1"},
    "coordination.k8s.io/v1beta1": {"": "coordination.k8s.io/v1"},
    "certificates.k8s.io/v1beta1": {"": "certificates.k8s.io/v1"},
    "node.k8s.io/v1beta1": {"": "node.k8s.io/v1"},
    "flowcontrol.apiserver.k8s.io/v1beta3": {"": "flowcontrol.apiserver.k8s.io/v1"},
}
REMOVED_KINDS = {"PodSecurityPolicy": "it was removed in Kubernetes 1.25 without a successor"}

# Kinds of Kubernetes that live outside of namespaces.
CLUSTER_SCOPED = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CSINode",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ClusterTrustBundle",
        "ComponentStatus",
        "CustomResourceDefinition",
        "DeviceClass",
        "DeviceTaintRule",
        "FlowSchema",
        "IPAddress",
        "IngressClass",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "ResourceSlice",
        "RuntimeClass",
        "SelfSubjectAccessReview",
        "SelfSubjectReview",
        "SelfSubjectRulesReview",
        "ServiceCIDR",
        "StorageClass",
        "StorageVersionMigration",
        "SubjectAccessReview",
        "TokenReview",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
        "VolumeAttributesClass",
    }
)
