"""From what a person types to pods. One rule for every command: KIND/NAME is an object; a bare NAME is a service of the
project in scope, else a pod, else a workload of that name; nothing is all of the namespace."""

from collections.abc import Callable, Mapping
from typing import Any

from orchestr.cli.context import label
from orchestr.cli.errors import Bad, Failed
from orchestr.cli.kinds import find
from orchestr.cli.why import owned, ready
from orchestr.client.paths import path
from orchestr.client.sync import Client

Pod = Mapping[str, Any]
Choice = Callable[[], list[Pod]]
OWNING = ("StatefulSet", "DaemonSet")  # workloads whose pods are told by their owner


def pods(client: Client, namespace: str, words: list[str], selector: str | None = None) -> list[Pod]:
    """The pods that are meant, by name. Failed names what is there when one matches nothing."""
    every: list[Pod] = list(client.items(path("pods", namespace), {"labelSelector": selector}))
    every.sort(key=lambda pod: pod["metadata"]["name"])
    if not words:
        return every
    chosen: dict[str, Pod] = {}
    for word in words:
        found = _matching(client, namespace, word, every)
        if not found:
            raise Failed(_nothing(word, namespace, every))
        chosen |= {pod["metadata"]["uid"]: pod for pod in found}
    return list(chosen.values())


def _matching(client: Client, namespace: str, word: str, every: list[Pod]) -> list[Pod]:
    kind, _, name = word.rpartition("/")
    if kind:
        found = find(kind)
        if found.kind == "Pod":
            return [pod for pod in every if pod["metadata"]["name"] == name]
        if found.kind not in ("Deployment", "ReplicaSet", "Job", "CronJob", "Service", "Stack", *OWNING):
            raise Bad(f"orch: a {found.kind} has no pods (name a workload, service, stack or pod)")
        return _of(
            client.get(path(found.plural, namespace, name, group=found.group)), found.kind, every, client, namespace
        )
    exact = [pod for pod in every if pod["metadata"]["name"] == name]
    service = [pod for pod in every if _label(pod, "service") in (name, label(name))]
    return service or exact or _by_workload(client, namespace, name, every)


def indexed(found: list[Pod], index: int) -> list[Pod]:
    """Of each service the Nth pod, from 1, in the order in which they were made. Failed where there are fewer."""
    groups: dict[str, list[Pod]] = {}
    for pod in sorted(found, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"])):
        groups.setdefault(_label(pod, "service"), []).append(pod)
    for name, pods in groups.items():
        if not 1 <= index <= len(pods):
            raise Failed(f"orch: service {name or 'of that name'} has no container {index} (it has {len(pods)})")
    return [pods[index - 1] for pods in groups.values()]


def _label(pod: Pod, name: str) -> str:
    return str((pod["metadata"].get("labels") or {}).get(f"orchestr.dev/{name}", ""))


def _of(obj: Mapping[str, Any], kind: str, every: list[Pod], client: Client, namespace: str) -> list[Pod]:
    if kind == "Stack":
        return [pod for pod in every if _label(pod, "stack") == obj["metadata"]["name"]]
    if kind == "Service":
        labels = obj["spec"].get("selector") or {}
    elif kind == "CronJob":
        jobs = client.items(path("jobs", namespace, group="batch"))
        uids = {each["metadata"]["uid"] for each in jobs if owned(each) == (kind, obj["metadata"]["uid"])}
        return [pod for pod in every if (owner := owned(pod)) and owner[1] in uids]
    elif kind == "Job" or kind in OWNING:
        return [pod for pod in every if owned(pod) == (kind, obj["metadata"]["uid"])]
    else:
        labels = obj["spec"]["selector"].get("matchLabels") or {}
    return [pod for pod in every if labels and labels.items() <= (pod["metadata"].get("labels") or {}).items()]


def _by_workload(client: Client, namespace: str, name: str, every: list[Pod]) -> list[Pod]:
    for plural in ("deployments", "statefulsets", "daemonsets", "cronjobs", "jobs", "replicasets"):
        kind = find(plural)
        for obj in client.items(path(plural, namespace, group=kind.group), {"fieldSelector": f"metadata.name={name}"}):
            return _of(obj, kind.kind, every, client, namespace)
    return []


def _nothing(word: str, namespace: str, every: list[Pod]) -> str:
    import difflib

    there = sorted({name for pod in every for name in (pod["metadata"]["name"], _label(pod, "service")) if name})
    near = difflib.get_close_matches(word, there, 1)
    hint = (
        f"did you mean {near[0]}?" if near else f"there are {', '.join(there) or 'no pods'}; -n names another namespace"
    )
    return f"orch: no pod, service or workload {word!r} in namespace {namespace} ({hint})"


def running(found: list[Pod]) -> Pod | None:
    """One that runs, a ready one if there is."""
    alive = [pod for pod in found if (pod.get("status") or {}).get("phase") == "Running"]
    return next((pod for pod in alive if ready(pod)), alive[0] if alive else None)


def container(pod: Pod, wanted: str | None) -> str:
    """The container that is meant: the named one, the annotated default, or the first."""
    kinds = ("containers", "initContainers", "ephemeralContainers")
    names = [each["name"] for kind in kinds for each in pod["spec"].get(kind) or []]
    if wanted and wanted not in names:
        raise Bad(f"orch: pod {pod['metadata']['name']} has no container {wanted!r} (it has {', '.join(names)})")
    default = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    return wanted or default or str(pod["spec"]["containers"][0]["name"])
