"""Pods, containers and runs for the tests of the agent."""

from collections.abc import Mapping
from typing import Any

from orchestr.agent.runs import Run, container_id
from orchestr.api.base import ObjectMeta
from orchestr.api.core import Container, Pod, PodSpec
from orchestr.runtime.seam import Container as Record

UID = "00000000-0000-4000-8000-000000000001"


def pod(name: str = "web", *, annotations: Mapping[str, str] | None = None, **spec: Any) -> Pod:
    spec.setdefault("containers", (Container(name="main", image="busy", command=("run",)),))
    meta = ObjectMeta(name=name, namespace="ns", uid=UID, annotations=annotations or {}, labels={"app": name})
    return Pod(metadata=meta, spec=PodSpec(**spec))


def record(name: str = "main", attempt: int = 0, **known: Any) -> Record:
    return Record(id=container_id(UID, name, attempt), sandbox=UID, **known)


def run(name: str = "main", attempt: int = 0, *, code: int | None = None, ended: bool = False, **more: Any) -> Run:
    """A running container; with `ended` one that ended with `code`."""
    if ended:
        known = record(name, attempt, status="exited", started_at=0.0, finished_at=1.0, exit_code=code)
    else:
        known = record(name, attempt, status="running", pid=7, started_at=0.0)
    return Run(name, attempt, known.id, known, **more)
