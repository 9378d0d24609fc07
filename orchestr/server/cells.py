"""Cells that are more than a field: counts, selectors, ports, addresses. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestr.server.age import between, human, parsed, since
from orchestr.server.columns import Cell, Wire, at

ACCESS = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def joined(values: Iterable[Any], nothing: str = "<none>") -> str:
    return ",".join(str(value) for value in values) or nothing


def containers(*path: str) -> Cell:
    """Names of the containers of the pod template at a path."""
    return lambda wire, now: joined((c.get("name", "") for c in at(wire, *path, "containers", default=())), "")


def images(*path: str) -> Cell:
    return lambda wire, now: joined((c.get("image", "") for c in at(wire, *path, "containers", default=())), "")


def labels(wire: Mapping[str, str] | None) -> str:
    return joined(f"{key}={value}" for key, value in sorted((wire or {}).items()))


def requirement(wire: Mapping[str, Any]) -> str:
    key, values = wire.get("key", ""), ",".join(sorted(wire.get("values") or ()))
    forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key, "DoesNotExist": f"!{key}"}
    return str(forms.get(wire.get("operator", ""), key))


def label_selector(wire: Mapping[str, Any] | None) -> str:
    """metav1.FormatLabelSelector."""
    if wire is None:
        return "<none>"
    parts = [f"{key}={value}" for key, value in (wire.get("matchLabels") or {}).items()]
    return joined(sorted([*parts, *(requirement(each) for each in wire.get("matchExpressions") or ())]))


def selector(*path: str) -> Cell:
    return lambda wire, now: label_selector(at(wire, *path))


def plain_selector(*path: str) -> Cell:
    return lambda wire, now: labels(at(wire, *path))


def number(*path: str, default: int = 0) -> Cell:
    return lambda wire, now: at(wire, *path, default=default)


def out_of(wanted: Sequence[str], default: int = 1) -> Cell:
    """`2/3`: status.readyReplicas of what is wanted."""
    return lambda w, now: f"{at(w, 'status', 'readyReplicas', default=0)}/{at(w, *wanted, default=default)}"


def count(*path: str) -> Cell:
    return lambda wire, now: len(at(wire, *path, default=()))


def text(*path: str, nothing: str = "<none>") -> Cell:
    return lambda wire, now: str(at(wire, *path) or nothing)


def boolean(*path: str, default: bool = False) -> Cell:
    return lambda wire, now: str(bool(at(wire, *path, default=default))).lower()


def param_kind(wire: Wire, now: datetime) -> str:
    kind = at(wire, "spec", "paramKind")
    return f"{kind.get('apiVersion')}/{kind.get('kind')}" if kind else "<unset>"


def param_ref(wire: Wire, now: datetime) -> str:
    ref = at(wire, "spec", "paramRef")
    if not ref:
        return "<unset>"
    return "/".join(filter(None, (ref.get("namespace"), ref.get("name") or "*")))


def condition(wire: Wire, type_: str) -> bool:
    return any(
        c.get("type") == type_ and c.get("status") == "True" for c in at(wire, "status", "conditions", default=())
    )


# jobs


def completions(job: Wire, now: datetime) -> str:
    done, wanted = at(job, "status", "succeeded", default=0), at(job, "spec", "completions")
    if wanted is not None:
        return f"{done}/{wanted}"
    parallel = at(job, "spec", "parallelism", default=0)
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def job_state(job: Wire, now: datetime) -> str:
    ends = (("Complete", "Complete"), ("Failed", "Failed"), ("FailureTarget", "FailureTarget"))
    found = next((said for type_, said in ends if condition(job, type_)), "")
    if found:
        return found
    if at(job, "metadata", "deletionTimestamp"):
        return "Terminating"
    if condition(job, "Suspended"):
        return "Suspended"
    return "SuccessCriteriaMet" if condition(job, "SuccessCriteriaMet") else "Running"


def duration(job: Wire, now: datetime) -> str:
    start, end = at(job, "status", "startTime"), at(job, "status", "completionTime")
    if start is None:
        return ""
    return between(start, end) if end else since(start, now)


def last_schedule(cron: Wire, now: datetime) -> str:
    last = at(cron, "status", "lastScheduleTime")
    return since(last, now) if last else "<none>"


# services


def ports(service: Wire, now: datetime) -> str:
    def one(port: Mapping[str, Any]) -> str:
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        return f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}"

    return joined(one(port) for port in at(service, "spec", "ports", default=()))


def external_ip(service: Wire, now: datetime) -> str:
    spec = service.get("spec") or {}
    given = list(spec.get("externalIPs") or ())
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    if spec.get("type") == "LoadBalancer":
        ingress = at(service, "status", "loadBalancer", "ingress", default=())
        found = [i.get("ip") or i.get("hostname") for i in ingress] + given
        return joined(found, "<pending>")
    return joined(given)


def subsets(endpoints: Wire, now: datetime) -> str:
    found: list[str] = []
    for subset in endpoints.get("subsets") or ():
        numbers = [port.get("port") for port in subset.get("ports") or ()]
        for address in subset.get("addresses") or ():
            ip = f"[{address['ip']}]" if ":" in address["ip"] else address["ip"]
            found += [f"{ip}:{number}" for number in numbers] or [address["ip"]]
    return joined(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "")


def slice_ports(wire: Wire, now: datetime) -> str:
    found = [str(port.get("port", "*")) for port in wire.get("ports") or ()]
    return _some(found, "<unset>")


def slice_endpoints(wire: Wire, now: datetime) -> str:
    return _some([a for e in wire.get("endpoints") or () for a in e.get("addresses") or ()], "<unset>")


def _some(found: Sequence[str], nothing: str) -> str:
    return joined(found[:3], nothing) + (f" + {len(found) - 3} more..." if len(found) > 3 else "")


# nodes


def node_state(node: Wire, now: datetime) -> str:
    ready = next((c for c in at(node, "status", "conditions", default=()) if c.get("type") == "Ready"), None)
    said = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    return said + (",SchedulingDisabled" if at(node, "spec", "unschedulable") else "")


def roles(node: Wire, now: datetime) -> str:
    prefix = "node-role.kubernetes.io/"
    given = at(node, "metadata", "labels", default={})
    found = {label.removeprefix(prefix) for label in given if label.startswith(prefix)} - {""}
    found |= {given["kubernetes.io/role"]} if given.get("kubernetes.io/role") else set()
    return joined(sorted(found))


def address(type_: str) -> Cell:
    def cell(node: Wire, now: datetime) -> str:
        found = (a["address"] for a in at(node, "status", "addresses", default=()) if a.get("type") == type_)
        return next(found, "<none>")

    return cell


# events


def last_seen(event: Wire, now: datetime) -> str:
    series = at(event, "series", "lastObservedTime")
    last = series or event.get("lastTimestamp") or event.get("deprecatedLastTimestamp") or event.get("eventTime")
    first = event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or event.get("eventTime")
    times = at(event, "series", "count") or event.get("count") or event.get("deprecatedCount") or 1
    if times > 1 and last and first and (began := parsed(first)):
        return f"{since(last, now)} (x{times} over {human(int((now - began).total_seconds()))})"
    return since(last or first, now)


def first_seen(event: Wire, now: datetime) -> str:
    return since(event.get("firstTimestamp") or event.get("eventTime"), now)


def about(event: Wire, now: datetime) -> str:
    target = event.get("involvedObject") or event.get("regarding") or {}
    return f"{str(target.get('kind', '')).lower()}/{target.get('name', '')}"


def part(event: Wire, now: datetime) -> str:
    return str(at(event, "involvedObject", "fieldPath", default="") or at(event, "regarding", "fieldPath", default=""))


def source(event: Wire, now: datetime) -> str:
    component = at(event, "source", "component") or event.get("reportingComponent") or event.get("reportingController")
    host = at(event, "source", "host") or event.get("reportingInstance")
    return joined([word for word in (component, host) if word], "")


def times(event: Wire, now: datetime) -> Any:
    return at(event, "series", "count") or event.get("count") or 1


# storage and quotas


def access(*path: str) -> Cell:
    return lambda wire, now: joined((ACCESS.get(mode, mode) for mode in at(wire, *path, default=())), "")


def claim_state(claim: Wire, now: datetime) -> str:
    gone = at(claim, "metadata", "deletionTimestamp")
    return "Terminating" if gone else str(at(claim, "status", "phase", default=""))


def claim_of(volume: Wire, now: datetime) -> str:
    ref = at(volume, "spec", "claimRef")
    return f"{ref.get('namespace', '')}/{ref.get('name', '')}" if ref else ""


def default_class(wire: Wire, now: datetime) -> str:
    marks = at(wire, "metadata", "annotations", default={})
    chosen = marks.get("storageclass.kubernetes.io/is-default-class") == "true"
    return str(at(wire, "metadata", "name")) + (" (default)" if chosen else "")


def quota(*, limits: bool) -> Cell:
    def cell(wire: Wire, now: datetime) -> str:
        hard = at(wire, "status", "hard") or at(wire, "spec", "hard", default={})
        used = at(wire, "status", "used", default={})
        names = sorted(name for name in hard if name.startswith("limits") is limits)
        return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in names)

    return cell


# rights and the rest


def role(wire: Wire, now: datetime) -> str:
    return f"{at(wire, 'roleRef', 'kind', default='')}/{at(wire, 'roleRef', 'name', default='')}"


def subjects(kind: str) -> Cell:
    def cell(wire: Wire, now: datetime) -> str:
        found = [each for each in wire.get("subjects") or () if each.get("kind") == kind]
        spaced = kind == "ServiceAccount"
        names = (f"{s.get('namespace', '')}/{s['name']}" if spaced else s["name"] for s in found)
        return ", ".join(names)

    return cell


def hosts(ingress: Wire, now: datetime) -> str:
    return joined((rule["host"] for rule in at(ingress, "spec", "rules", default=()) if rule.get("host")), "*")


def ingress_address(ingress: Wire, now: datetime) -> str:
    found = at(ingress, "status", "loadBalancer", "ingress", default=())
    return joined((i.get("ip") or i.get("hostname") for i in found), "")


def ingress_ports(ingress: Wire, now: datetime) -> str:
    return "80, 443" if at(ingress, "spec", "tls") else "80"


def scaled(wire: Wire, now: datetime) -> str:
    ref = at(wire, "spec", "scaleTargetRef", default={})
    return f"{ref.get('kind', '')}/{ref.get('name', '')}"


def targets(wire: Wire, now: datetime) -> str:
    """`cpu: 12%/50%, memory: 8Mi/64Mi + 1 more...`: what is used of what is meant to be."""
    current = {_measured(m)[:2]: _measured(m)[2] for m in at(wire, "status", "currentMetrics", default=())}
    found = []
    for metric in at(wire, "spec", "metrics", default=()):
        name, container, source = _measured(metric)
        target, used = source.get("target"), at(current.get((name, container)), "current")
        amount, percent = at(target, "averageValue"), at(target, "averageUtilization")
        if amount is not None:
            found.append(f"{name}: {at(used, 'averageValue', default='<unknown>')}/{amount}")
        else:
            now_at = at(used, "averageUtilization")
            said = "<unknown>" if now_at is None else f"{now_at}%"
            found.append(f"{name}: {said}/{f'{percent}%' if percent else '<auto>'}")
    more = f" + {len(found) - 2} more..." if len(found) > 2 else ""
    return (", ".join(found[:2]) or "<none>") + more


def _measured(metric: Wire) -> tuple[str, str, Wire]:
    """(resource, container or "", the metric's source)"""
    source = metric.get("containerResource") or metric.get("resource") or {}
    return source.get("name", ""), source.get("container", ""), source


def parameters(wire: Wire, now: datetime) -> str:
    ref = at(wire, "spec", "parameters")
    return (
        f"{ref.get('kind')}{'.' + ref['apiGroup'] if ref.get('apiGroup') else ''}/{ref.get('name')}"
        if ref
        else "<none>"
    )


def controller(wire: Wire, now: datetime) -> str:
    owners = at(wire, "metadata", "ownerReferences", default=())
    owner = next((owner for owner in owners if owner.get("controller")), None)
    if owner is None:
        return "<none>"
    group = str(owner.get("apiVersion", "")).rpartition("/")[0]
    return f"{owner['kind'].lower()}{'.' + group if group else ''}/{owner['name']}"


def lasting(request: Wire, now: datetime) -> str:
    seconds = at(request, "spec", "expirationSeconds")
    return human(seconds) if seconds is not None else "<none>"


def request_state(request: Wire, now: datetime) -> str:
    """Of a CertificateSigningRequest."""
    found = [str(c.get("type")) for c in at(request, "status", "conditions", default=())]
    found += ["Issued"] if at(request, "status", "certificate") else []
    return joined(found, "Pending")


def stack_ready(stack: Wire, now: datetime) -> str:
    services = at(stack, "status", "services", default=())
    total = len(at(stack, "spec", "services", default=()))
    return f"{sum(s.get('ready', 0) >= s.get('desired', 0) for s in services)}/{total}"


def stack_state(stack: Wire, now: datetime) -> str:
    conditions: Sequence[Wire] = at(stack, "status", "conditions", default=())
    found: Wire = next((c for c in conditions if c.get("type") == "Ready"), {})
    return "Ready" if found.get("status") == "True" else str(found.get("reason") or "Progressing")
