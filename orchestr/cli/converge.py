"""Whether what was applied is there. Pure: wire objects in, a verdict out; apply and wait ask it after each change."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from orchestr.cli.why import ended_text, pod_why, ready, workload_why

Object = Mapping[str, Any]
ROLLED = "RolledBack"
CRASHES = 3  # restarts of one container after which waiting for it makes no sense
HOPELESS = (
    "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ErrImageNeverPull", "InvalidImageName",
    "ImageInspectError", "CreateContainerConfigError", "StartError", "ExecutableNotFound",
    "NotExecutable", "NotIdmappable",
)  # fmt: skip


class Verdict(NamedTuple):
    state: Literal["done", "waiting", "failed"]
    text: str = ""  # "2/3 ready", "crash loop: exit code 1"
    rolled_back: bool = False  # failed, and what ran before runs again


def judge(
    obj: Object,
    pods: Sequence[Object],
    services: Sequence[Object] = (),
    *,
    foreign: bool = False,
    only: Sequence[str] | None = None,
) -> Verdict:
    """`pods`: all below the object; `services`: of a Stack, its Services. `foreign`: another server than orch's, which
    does not tell whether a Service has its ports. `only`: which services of a Stack count; None is all."""
    status, spec = obj.get("status") or {}, obj.get("spec") or {}
    if obj["metadata"].get("deletionTimestamp"):
        return Verdict("waiting", "being deleted")
    match obj["kind"]:
        case "Stack" | "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" if (
            status.get("observedGeneration", 0) < obj["metadata"]["generation"]
        ):
            return Verdict("waiting", "not looked at yet")
        case "Stack":
            return _with_ports(_stack(status, only, _going_back(spec)), services)
        case "Deployment" | "ReplicaSet":
            return _replicated(obj, status, int(spec.get("replicas", 1)), _newest(status, pods))
        case "StatefulSet":
            return _stateful(obj, status, pods)
        case "DaemonSet":
            return _daemon(obj, status, pods)
        case "Job":
            return _job(status, pods)
        case "Pod":
            return _pod(obj)
        case "PersistentVolumeClaim":
            return _claim(status)
        case "Service" if not foreign:
            return _service(obj)
    return Verdict("done")


def _claim(status: Object) -> Verdict:
    """Bound, or left until a pod mounts it, as its class wants."""
    why = _condition(status, "Waiting") or {}
    if status.get("phase") == "Bound" or why.get("reason") == "WaitForFirstConsumer":
        return Verdict("done")
    return Verdict("waiting", f"not bound yet{': ' + str(why['message']) if why.get('message') else ''}")


def _with_ports(verdict: Verdict, services: Sequence[Object]) -> Verdict:
    """The first Service that has not its ports decides over what is done otherwise."""
    ports = [told for each in services if (told := _service(each)).state != "done"]
    return ports[0] if verdict.state == "done" and ports else verdict


def _service(obj: Object) -> Verdict:
    """Of one that publishes ports: whether it has them."""
    publishes = (obj["metadata"].get("annotations") or {}).get("orchestr.dev/publish", "[]") != "[]"
    if not publishes and (obj.get("spec") or {}).get("type") not in ("NodePort", "LoadBalancer"):
        return Verdict("done")
    told = _condition(obj.get("status") or {}, "Published")
    if not told:
        return Verdict("waiting", f"ports of {obj['metadata']['name']} are not open yet")
    return Verdict("failed", str(told.get("message"))) if told["status"] == "False" else Verdict("done")


def _condition(status: Object, kind: str) -> Object:
    found: Object = next((c for c in status.get("conditions") or [] if c["type"] == kind), {})
    return found


def _going_back(spec: Object) -> frozenset[str]:
    """Services that are rolled back when they fail: their controller says when that is, and when it is done."""
    services = (spec.get("services") or {}).items()
    configs = ((name, (each.get("deploy") or {}).get("update_config") or {}) for name, each in services)
    return frozenset(name for name, config in configs if config.get("failure_action") == "rollback")


def _stack(status: Object, only: Sequence[str] | None, patient: frozenset[str]) -> Verdict:
    """From the rows of its services alone: a hundred services need no watch of a hundred pods.

    `patient`: services whose trouble need not be the end.
    """
    rows = [row for row in status.get("services") or [] if only is None or row["name"] in only]
    waiting = [row for row in rows if row.get("phase") not in ("Running", "Complete", "Stopped")]
    good = len(rows) - len(waiting)
    if _condition(status, "Ready").get("status") == "True" or (only is not None and not waiting):
        return Verdict("done", f"{good}/{len(rows)} services")
    failed = _condition(status, "Failed")
    if failed.get("status") == "True" and (only is None or any(row.get("phase") == "Failed" for row in rows)):
        text = str(failed.get("message") or failed.get("reason"))
        bad = [row for row in rows if row.get("phase") == "Failed"]
        return Verdict("failed", text, bool(bad) and all(row.get("reason") == ROLLED for row in bad))
    for row in waiting:
        told = None if row["name"] in patient else row.get("message")
        if told and row.get("reason") in HOPELESS:
            return Verdict("failed", f"{row['name']}: {told}")
        if told and row.get("reason") == "CrashLoopBackOff" and int(row.get("restarts", 0)) >= CRASHES:
            return Verdict("failed", f"{row['name']} is in a crash loop ({row['restarts']} restarts): {told}")
    why = next((f" ({row['name']}: {row['message']})" for row in waiting if row.get("message")), "")
    return Verdict("waiting", f"{good}/{len(rows)} services{why}")


def _newest(status: Object, pods: Sequence[Object]) -> Sequence[Object]:
    """The pods of the newest template: trouble of those that are being replaced may be why they are."""
    if not pods or not status.get("updatedReplicas", status.get("replicas", 0)):
        return ()
    mark = "pod-template-hash"
    labels = [pod["metadata"].get("labels") or {} for pod in pods]
    newest = max(zip(pods, labels, strict=True), key=lambda pair: pair[0]["metadata"]["creationTimestamp"])[1].get(mark)
    return [pod for pod, label in zip(pods, labels, strict=True) if label.get(mark) == newest]


def _replicated(obj: Object, status: Object, wanted: int, pods: Sequence[Object]) -> Verdict:
    updated = int(status.get("updatedReplicas", status.get("replicas", 0)))
    available, total = int(status.get("availableReplicas", 0)), int(status.get("replicas", 0))
    progress = _condition(status, "Progressing")
    if progress.get("reason") == ROLLED:
        return Verdict("failed", str(progress.get("message")), True)
    if updated == wanted and available >= wanted and total == wanted and progress.get("reason") != "RollingBack":
        return Verdict("done", f"{available}/{wanted} ready")
    if progress.get("reason") == "ProgressDeadlineExceeded":
        return Verdict("failed", f"{workload_why(obj)}{_first(pods)}")
    refused = _condition(status, "ReplicaFailure")
    if refused.get("status") == "True":
        return Verdict("failed", str(refused.get("message")))
    lost = hopeless(pods)
    return Verdict("failed", lost) if lost else Verdict("waiting", f"{available}/{wanted} ready{_first(pods)}")


def _stateful(obj: Object, status: Object, pods: Sequence[Object]) -> Verdict:
    """All pods available, those from the partition on of the newest template."""
    wanted, strategy = int(obj["spec"].get("replicas", 1)), obj["spec"].get("updateStrategy") or {}
    kept = min(int((strategy.get("rollingUpdate") or {}).get("partition", 0)), wanted)
    available, total = int(status.get("availableReplicas", 0)), int(status.get("replicas", 0))
    rolled = strategy.get("type") == "OnDelete" or int(status.get("updatedReplicas", 0)) >= wanted - kept
    if available == total == wanted and rolled:
        return Verdict("done", f"{available}/{wanted} ready")
    lost = hopeless([pod for pod in pods if _of_revision(pod, str(status.get("updateRevision")))])
    return Verdict("failed", lost) if lost else Verdict("waiting", f"{available}/{wanted} ready{_first(pods)}")


def _daemon(obj: Object, status: Object, pods: Sequence[Object]) -> Verdict:
    wanted, available = int(status.get("desiredNumberScheduled", 0)), int(status.get("numberAvailable", 0))
    on_delete = (obj["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
    if available >= wanted and (on_delete or int(status.get("updatedNumberScheduled", 0)) >= wanted):
        return Verdict("done", f"{available}/{wanted} ready")
    newest = max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)
    lost = hopeless([newest] if newest else [])
    return Verdict("failed", lost) if lost else Verdict("waiting", f"{available}/{wanted} ready{_first(pods)}")


def _of_revision(pod: Object, name: str) -> bool:
    return (pod["metadata"].get("labels") or {}).get("controller-revision-hash") == name


def _job(status: Object, pods: Sequence[Object]) -> Verdict:
    if _condition(status, "Complete").get("status") == "True":
        return Verdict("done", "complete")
    failed = _condition(status, "Failed")
    if failed.get("status") == "True":
        return Verdict("failed", f"{failed.get('message') or failed.get('reason')}{_first(pods)}")
    lost = hopeless(pods, jobs=True)
    return Verdict("failed", lost) if lost else Verdict("waiting", f"running{_first(pods)}")


def _pod(pod: Object) -> Verdict:
    phase = (pod.get("status") or {}).get("phase")
    if phase == "Succeeded" or ready(pod):
        return Verdict("done", "complete" if phase == "Succeeded" else "ready")
    lost = hopeless([pod])
    if phase == "Failed" or lost:
        return Verdict("failed", lost or pod_why(pod))
    return Verdict("waiting", pod_why(pod) or "starting")


def hopeless(pods: Sequence[Object], *, jobs: bool = False) -> str:
    """Why waiting makes no sense: a crash loop, an image that is not there. "" while there is hope."""
    for pod in pods:
        status = pod.get("status") or {}
        if pod["metadata"].get("deletionTimestamp") or ready(pod):
            continue
        for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in HOPELESS and waiting.get("message"):
                return f"{pod['metadata']['name']}: {waiting['message']}"
            ended = (container.get("lastState") or {}).get("terminated") or {}
            if int(container.get("restartCount", 0)) >= CRASHES and ended and not jobs:
                times = container["restartCount"]
                return f"{pod['metadata']['name']} is in a crash loop ({times} restarts): {ended_text(ended)}"
    return ""


def _first(pods: Sequence[Object]) -> str:
    for pod in pods:
        why = "" if ready(pod) else pod_why(pod)
        if why:
            return f" ({pod['metadata']['name']}: {why})"
    return ""
