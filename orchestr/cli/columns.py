"""The columns of `orch get`, kind by kind, as kubectl prints them. Rows come from wire objects; nothing is decoded."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestr.cli.output import age

Object = Mapping[str, Any]
Columns = tuple[Sequence[str], Callable[[Object], list[str]], Sequence[str], Callable[[Object], list[str]]]


def _status(obj: Object) -> Mapping[str, Any]:
    return obj.get("status") or {}


def _spec(obj: Object) -> Mapping[str, Any]:
    return obj.get("spec") or {}


def pod_state(pod: Object) -> str:
    """The STATUS word: the most telling reason, as kubectl chooses it."""
    status = _status(pod)
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for prefix, statuses in (("Init:", status.get("initContainerStatuses")), ("", status.get("containerStatuses"))):
        for container in statuses or []:
            state = container.get("state") or {}
            waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
            reason = waiting.get("reason") or (ended.get("reason") if ended.get("exitCode") else "")
            if reason:
                return f"{prefix}{reason}"
    for condition in status.get("conditions") or []:
        if condition.get("reason") == "SchedulingGated" and condition["status"] == "False":
            return "SchedulingGated"
    reason = status.get("reason")
    phase = str(reason or status.get("phase") or "Pending")
    return "Completed" if phase == "Succeeded" else phase


def restarts(pod: Object) -> int:
    return sum(int(container.get("restartCount", 0)) for container in _status(pod).get("containerStatuses") or [])


def ready(pod: Object) -> str:
    statuses = _status(pod).get("containerStatuses") or []
    return f"{sum(bool(c.get('ready')) for c in statuses)}/{len(_spec(pod).get('containers') or [])}"


def _pod(pod: Object) -> list[str]:
    return [ready(pod), pod_state(pod), str(restarts(pod))]


def _pod_wide(pod: Object) -> list[str]:
    ips = [each["ip"] for each in _status(pod).get("podIPs") or []]
    return [",".join(ips) or "<none>", str(_spec(pod).get("nodeName") or "<none>")]


def _deployment(obj: Object) -> list[str]:
    status = _status(obj)
    return [f"{status.get('readyReplicas', 0)}/{_spec(obj).get('replicas', 1)}", str(status.get("updatedReplicas", 0)),
            str(status.get("availableReplicas", 0))]  # fmt: skip


def _template_wide(obj: Object) -> list[str]:
    containers = _spec(obj).get("template", {}).get("spec", {}).get("containers", [])
    return [",".join(c["name"] for c in containers), ",".join(str(c.get("image", "")) for c in containers)]


def _statefulset(obj: Object) -> list[str]:
    return [f"{_status(obj).get('readyReplicas', 0)}/{_spec(obj).get('replicas', 1)}"]


def _daemonset(obj: Object) -> list[str]:
    status = _status(obj)
    names = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled")
    return [str(status.get(name, 0)) for name in (*names, "numberAvailable")]


def _replicaset(obj: Object) -> list[str]:
    status = _status(obj)
    return [str(_spec(obj).get("replicas", 1)), str(status.get("replicas", 0)), str(status.get("readyReplicas", 0))]


def job_state(obj: Object) -> str:
    """How it ended, else what it is on the way to: the last condition that holds."""
    holds = [str(c["type"]) for c in _status(obj).get("conditions") or [] if c["status"] == "True"]
    return next((word for word in holds if word in ("Complete", "Failed")), holds[-1] if holds else "Running")


def _job(obj: Object) -> list[str]:
    status = _status(obj)
    return [job_state(obj), f"{status.get('succeeded', 0)}/{_spec(obj).get('completions') or 1}"]


def _cronjob(obj: Object) -> list[str]:
    spec, status = _spec(obj), _status(obj)
    last = status.get("lastScheduleTime")
    zone, suspended = str(spec.get("timeZone") or "<none>"), str(bool(spec.get("suspend"))).lower()
    active = str(len(status.get("active") or []))
    return [str(spec.get("schedule")), zone, suspended, active, age(last) if last else "<none>"]


def _service(obj: Object) -> list[str]:
    spec = _spec(obj)
    ports = [
        f"{p['port']}{':' + str(p['nodePort']) if p.get('nodePort') else ''}/{p.get('protocol', 'TCP')}"
        for p in spec.get("ports") or []
    ]
    return [
        str(spec.get("type", "ClusterIP")),
        str(spec.get("clusterIP") or "<none>"),
        published(obj),
        ",".join(ports) or "<none>",
    ]


def published(obj: Object) -> str:
    """Ports of the machine that lead to a service: `8080->80/tcp`."""
    import json

    entries = json.loads((obj["metadata"].get("annotations") or {}).get("orchestr.dev/publish", "[]"))
    words = []
    for entry in entries:
        address = f"{entry['hostIP']}:" if entry.get("hostIP") else ""
        words.append(f"{address}{entry['hostPort']}->{entry['port']}/{entry.get('protocol', 'TCP').lower()}")
    return ",".join(words) or "<none>"


def _stack(obj: Object) -> list[str]:
    status = _status(obj)
    rows = status.get("services") or []
    good = sum(1 for row in rows if row.get("phase") in ("Ready", "Complete", "Completed", "Running"))
    condition: Object = next((c for c in status.get("conditions") or [] if c["type"] == "Ready"), {})
    return [f"{good}/{len(rows)}", str(condition.get("reason") or condition.get("status") or "Pending")]


def _quota(obj: Object) -> list[str]:
    used, hard = _status(obj).get("used") or {}, _spec(obj).get("hard") or {}
    return [", ".join(f"{name}: {used.get(name, '0')}/{limit}" for name, limit in hard.items())]


def _claim(obj: Object) -> list[str]:
    status = _status(obj)
    return [str(status.get("phase", "Pending")), str((status.get("capacity") or {}).get("storage", "")),
            ",".join(_spec(obj).get("accessModes") or [])]  # fmt: skip


def _event(obj: Object) -> list[str]:
    target = obj.get("involvedObject") or {}
    about = f"{str(target.get('kind', '')).lower()}/{target.get('name', '')}"
    return [
        *(str(obj.get(key, "")) for key in ("type", "reason")),
        about,
        str(obj.get("count", 1)),
        str(obj.get("message", "")),
    ]


def _node(obj: Object) -> list[str]:
    conditions = {c["type"]: c["status"] for c in _status(obj).get("conditions") or []}
    info = _status(obj).get("nodeInfo") or {}
    return ["Ready" if conditions.get("Ready") == "True" else "NotReady", str(info.get("kubeletVersion", ""))]


def _slice(obj: Object) -> list[str]:
    addresses = [a for e in obj.get("endpoints") or [] for a in e.get("addresses", [])]
    ports = [str(p.get("port", "")) for p in obj.get("ports") or []]
    return [str(obj.get("addressType", "")), ",".join(ports) or "<unset>", ",".join(addresses) or "<unset>"]


def _data(obj: Object) -> list[str]:
    return [str(len({**(obj.get("data") or {}), **(obj.get("binaryData") or {})}))]


def _nothing(_obj: Object) -> list[str]:
    return []


def _role(obj: Object) -> list[str]:
    ref: Mapping[str, Any] = obj.get("roleRef") or {}
    return [f"{ref.get('kind', '')}/{ref.get('name', '')}"]


def _subjects(obj: Object) -> list[str]:
    subjects: list[Mapping[str, Any]] = obj.get("subjects") or []
    return [",".join(f"{each.get('kind', '')}/{each.get('name', '')}" for each in subjects) or "<none>"]


def _lease(obj: Object) -> list[str]:
    return [str(_spec(obj).get("holderIdentity") or "")]


def _fields(*paths: str) -> Callable[[Object], list[str]]:
    """The values at these dotted paths, as they are."""

    def cells(obj: Object) -> list[str]:
        found = []
        for path in paths:
            value: Any = obj
            for name in path.split("."):
                value = value.get(name) if isinstance(value, Mapping) else None
            found.append("<none>" if value is None else str(value).lower() if isinstance(value, bool) else str(value))
        return found

    return cells


def _endpoints(obj: Object) -> list[str]:
    pairs = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or []
        for port in subset.get("ports") or []
        for address in subset.get("addresses") or []
    ]
    more = f" + {len(pairs) - 3} more..." if len(pairs) > 3 else ""
    return [",".join(pairs[:3]) + more or "<none>"]


def _webhooks(obj: Object) -> list[str]:
    return [str(len(obj.get("webhooks") or []))]


def _policy(obj: Object) -> list[str]:
    kind = _spec(obj).get("paramKind") or {}
    rules = _spec(obj).get("validations") or _spec(obj).get("mutations") or []
    return [str(len(rules)), f"{kind['apiVersion']}/{kind['kind']}" if kind else "<unset>"]


def _policy_binding(obj: Object) -> list[str]:
    ref = _spec(obj).get("paramRef") or {}
    name = "/".join(filter(None, (ref.get("namespace"), ref.get("name") or "*"))) if ref else "<unset>"
    return [str(_spec(obj).get("policyName")), name]


def _budget(obj: Object) -> list[str]:
    shares = [_spec(obj).get("minAvailable", "N/A"), _spec(obj).get("maxUnavailable", "N/A")]
    return [*map(str, shares), str(_status(obj).get("disruptionsAllowed", 0))]


def _signing(obj: Object) -> list[str]:
    conditions = [str(each["type"]) for each in _status(obj).get("conditions") or []]
    issued = ["Issued"] if _status(obj).get("certificate") else []
    return [
        str(_spec(obj).get("signerName")),
        str(_spec(obj).get("username") or "<unknown>"),
        ",".join([*conditions, *issued]) or "Pending",
    ]


def _ingress(obj: Object) -> list[str]:
    hosts = [rule["host"] for rule in _spec(obj).get("rules") or [] if rule.get("host")]
    return [str(_spec(obj).get("ingressClassName") or "<none>"), ",".join(hosts) or "*"]


def _network_policy(obj: Object) -> list[str]:
    labels = (_spec(obj).get("podSelector") or {}).get("matchLabels") or {}
    return [",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"]


def _autoscaler(obj: Object) -> list[str]:
    spec, target = _spec(obj), _spec(obj).get("scaleTargetRef") or {}
    limits = [str(spec.get("minReplicas", 1)), str(spec.get("maxReplicas", ""))]
    return [f"{target.get('kind')}/{target.get('name')}", *limits, str(_status(obj).get("currentReplicas", 0))]


def _volume(obj: Object) -> list[str]:
    spec, ref = _spec(obj), _spec(obj).get("claimRef") or {}
    claim = f"{ref.get('namespace')}/{ref.get('name')}" if ref else ""
    size, policy = (spec.get("capacity") or {}).get("storage", ""), spec.get("persistentVolumeReclaimPolicy", "")
    return [
        str(size),
        str(policy),
        str(_status(obj).get("phase", "Pending")),
        claim,
        str(spec.get("storageClassName", "")),
    ]


TABLE: dict[str, Columns] = {
    "Pod": (("READY", "STATUS", "RESTARTS"), _pod, ("IP", "NODE"), _pod_wide),
    "Deployment": (("READY", "UP-TO-DATE", "AVAILABLE"), _deployment, ("CONTAINERS", "IMAGES"), _template_wide),
    "StatefulSet": (("READY",), _statefulset, ("CONTAINERS", "IMAGES"), _template_wide),
    "DaemonSet": (
        ("DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE"),
        _daemonset,
        ("CONTAINERS", "IMAGES"),
        _template_wide,
    ),
    "ReplicaSet": (("DESIRED", "CURRENT", "READY"), _replicaset, ("CONTAINERS", "IMAGES"), _template_wide),
    "Job": (("STATUS", "COMPLETIONS"), _job, ("CONTAINERS", "IMAGES"), _template_wide),
    "CronJob": (("SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE"), _cronjob, (), _nothing),
    "Service": (("TYPE", "CLUSTER-IP", "PUBLISHED", "PORT(S)"), _service, (), _nothing),
    "Stack": (("SERVICES", "STATUS"), _stack, (), _nothing),
    "ResourceQuota": (("USED",), _quota, (), _nothing),
    "PersistentVolumeClaim": (("STATUS", "CAPACITY", "ACCESS MODES"), _claim, (), _nothing),
    "PersistentVolume": (("CAPACITY", "RECLAIM POLICY", "STATUS", "CLAIM", "STORAGECLASS"), _volume, (), _nothing),
    "Event": (("TYPE", "REASON", "OBJECT", "COUNT", "MESSAGE"), _event, (), _nothing),
    "Node": (("STATUS", "VERSION"), _node, (), _nothing),
    "EndpointSlice": (("ADDRESSTYPE", "PORTS", "ENDPOINTS"), _slice, (), _nothing),
    "ConfigMap": (("DATA",), _data, (), _nothing),
    "Secret": (("TYPE", "DATA"), lambda obj: [str(obj.get("type", "Opaque")), *_data(obj)], (), _nothing),
    "ReplicationController": (
        ("DESIRED", "CURRENT", "READY"),
        _replicaset,
        ("CONTAINERS", "IMAGES"),
        _template_wide,
    ),
    "LimitRange": ((), _nothing, (), _nothing),
    "Endpoints": (("ENDPOINTS",), _endpoints, (), _nothing),
    "PodTemplate": ((), _nothing, (), _nothing),
    "ControllerRevision": (("REVISION",), _fields("revision"), (), _nothing),
    "Lease": (("HOLDER",), _lease, (), _nothing),
    "HorizontalPodAutoscaler": (("REFERENCE", "MINPODS", "MAXPODS", "REPLICAS"), _autoscaler, (), _nothing),
    "Ingress": (("CLASS", "HOSTS"), _ingress, (), _nothing),
    "NetworkPolicy": (("POD-SELECTOR",), _network_policy, (), _nothing),
    "IngressClass": (("CONTROLLER",), _fields("spec.controller"), (), _nothing),
    "PriorityClass": (("VALUE", "GLOBAL-DEFAULT"), _fields("value", "globalDefault"), (), _nothing),
    "StorageClass": (
        ("PROVISIONER", "RECLAIMPOLICY", "VOLUMEBINDINGMODE"),
        _fields("provisioner", "reclaimPolicy", "volumeBindingMode"),
        (),
        _nothing,
    ),
    "RuntimeClass": (("HANDLER",), _fields("handler"), (), _nothing),
    "MutatingWebhookConfiguration": (("WEBHOOKS",), _webhooks, (), _nothing),
    "ValidatingWebhookConfiguration": (("WEBHOOKS",), _webhooks, (), _nothing),
    "ValidatingAdmissionPolicy": (("VALIDATIONS", "PARAMKIND"), _policy, (), _nothing),
    "ValidatingAdmissionPolicyBinding": (("POLICYNAME", "PARAMREF"), _policy_binding, (), _nothing),
    "MutatingAdmissionPolicy": (("MUTATIONS", "PARAMKIND"), _policy, (), _nothing),
    "MutatingAdmissionPolicyBinding": (("POLICYNAME", "PARAMREF"), _policy_binding, (), _nothing),
    "PodDisruptionBudget": (
        ("MIN AVAILABLE", "MAX UNAVAILABLE", "ALLOWED DISRUPTIONS"),
        _budget,
        (),
        _nothing,
    ),
    "CustomResourceDefinition": ((), _nothing, (), _nothing),
    "CertificateSigningRequest": (("SIGNERNAME", "REQUESTOR", "CONDITION"), _signing, (), _nothing),
    "ServiceAccount": ((), _nothing, (), _nothing),
    "Role": ((), _nothing, (), _nothing),
    "ClusterRole": ((), _nothing, (), _nothing),
    "RoleBinding": (("ROLE",), _role, ("SUBJECTS",), _subjects),
    "ClusterRoleBinding": (("ROLE",), _role, ("SUBJECTS",), _subjects),
    "Namespace": (("STATUS",), lambda obj: [str(_status(obj).get("phase", "Active"))], (), _nothing),
}


OTHERS: Columns = ((), _nothing, (), _nothing)  # custom resources


def header(kind: str, *, wide: bool, namespaces: bool) -> list[str]:
    columns = TABLE.get(kind, OTHERS)
    return [*(["NAMESPACE"] if namespaces else []), "NAME", *columns[0], "AGE", *(columns[2] if wide else ())]


def row(kind: str, obj: Object, *, wide: bool, namespaces: bool) -> list[str]:
    meta, columns = obj["metadata"], TABLE.get(kind, OTHERS)
    extra = columns[3](obj) if wide else []
    own = [str(meta.get("namespace", ""))] if namespaces else []
    return [*own, str(meta["name"]), *columns[1](obj), age(meta.get("creationTimestamp")), *extra]
