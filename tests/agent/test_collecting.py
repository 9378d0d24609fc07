"""Which images are in use, as the objects of a cluster say."""

from pathlib import Path
from typing import Any

import pytest
import trio

from orchestr.agent import collecting
from orchestr.agent.collecting import newest, uses
from orchestr.api.base import KubeObject, ObjectMeta
from orchestr.api.core import Node, NodeSpec
from orchestr.api.scheme import decode
from orchestr.images.garbage import Freed
from orchestr.images.store import Images
from tests.engine.fake import FakeCluster


def template(image: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "main", "image": image}]}}


def workload(kind: str, api: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": kind.lower(), "namespace": "ns"},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, **spec}}  # fmt: skip


def owned(kind: str, name: str, owner: str, more: dict[str, Any], notes: Any = None) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": owner, "controller": True}
    meta = {"name": name, "namespace": "ns", "annotations": notes or {}, "ownerReferences": [reference]}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, **more}


def pod(name: str, phase: str, image: str, digest: str) -> dict[str, Any]:
    status = {"name": "main", "image": image, "imageID": digest, "ready": False, "restartCount": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "ns"},
            "spec": template(image)["spec"], "status": {"phase": phase, "containerStatuses": [status]}}  # fmt: skip


OBJECTS = [
    pod("runs", "Running", "pod:1", "sha256:aa"),
    pod("waits", "Pending", "pending:1", ""),
    pod("done", "Succeeded", "done:1", "sha256:bb"),
    workload("Deployment", "apps/v1", template=template("deployment:1")),
    workload("StatefulSet", "apps/v1", template=template("set:1"), serviceName="s"),
    workload("DaemonSet", "apps/v1", template=template("every:1")),
    {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job", "namespace": "ns"},
     "spec": {"template": template("job:1")}},
    {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "over", "namespace": "ns"},
     "spec": {"template": template("over:1")}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}},
    {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "cron", "namespace": "ns"},
     "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template("cron:1")}}}},
    *(owned("ReplicaSet", f"rs{n}", "u1",
            {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template(f"rs:{n}")}},
            {"deployment.kubernetes.io/revision": str(n)}) for n in (10, 9, 8)),
    *(owned("ControllerRevision", f"cr{n}", "u2",
            {"revision": n, "data": {"spec": {"template": template(f"cr:{n}")}}}) for n in (1, 3, 2)),
    owned("ControllerRevision", "foreign", "u3", {"revision": 1, "data": {"anything": 1}}),
]  # fmt: skip


async def test_pods_workloads_and_their_last_two_revisions() -> None:
    """Not what has finished, nor older revisions; containers by digest, too."""
    cluster = FakeCluster()
    for each in OBJECTS:
        await cluster.create(decode(each))
    found = await uses(cluster)
    assert found.names == {
        "pod:1", "pending:1", "deployment:1", "set:1", "every:1", "job:1", "cron:1", "rs:10", "rs:9", "cr:3", "cr:2",
    }  # fmt: skip
    assert found.digests == {"sha256:aa"}


def test_newest_of_nothing() -> None:
    assert list(newest([], lambda each: 0)) == []


class Told:
    """A recorder that wakes whoever waits for the first event."""

    def __init__(self) -> None:
        self.reasons, self.first = list[str](), trio.Event()

    def record(
        self, obj: KubeObject, reason: str, message: str, *, warning: bool = False, component: str = "agent"
    ) -> None:
        self.reasons.append(f"{obj.kind} {reason}")
        self.first.set()


async def test_a_full_disk_is_looked_at_at_once_and_told_at_the_node(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A pull that found no room need not wait for the next look; what is still full is an event of the node."""
    cluster, told = FakeCluster(), Told()
    await cluster.create(Node(metadata=ObjectMeta(name="node"), spec=NodeSpec()))
    monkeypatch.setattr(collecting, "collect", lambda images, used, now: (Freed(), True))
    collector = collecting.Collector(cluster, Images(str(tmp_path)), told, "node")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collector.run)
        collector.crowded()
        with trio.fail_after(60):
            await told.first.wait()
        nursery.cancel_scope.cancel()
    assert told.reasons == ["Node FreeDiskSpaceFailed"]
