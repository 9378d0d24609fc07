"""Job (batch/v1)."""

from typing import ClassVar, Literal

from orchestr.api.base import Condition, Items, KubeObject, Model, Time
from orchestr.api.meta import LabelSelector
from orchestr.api.pod import PodTemplateSpec

JOB_NAME = "batch.kubernetes.io/job-name"  # labels that a Job puts on its pods
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"


class JobSpec(Model):
    template: PodTemplateSpec
    selector: LabelSelector | None = None  # made by defaulting once the uid is known, unless manualSelector
    manual_selector: bool | None = None
    parallelism: int | None = None  # 1
    completions: int | None = None  # None with parallelism > 1: a work queue, done when one succeeds and all ended
    completion_mode: Literal["NonIndexed"] | None = None
    backoff_limit: int | None = None  # 6
    active_deadline_seconds: int | None = None
    ttl_seconds_after_finished: int | None = None
    suspend: bool | None = None
    pod_replacement_policy: str | None = None  # TerminatingOrFailed, Failed

    @property
    def parallel(self) -> int:
        """How many pods run at a time."""
        return 1 if self.parallelism is None else self.parallelism

    @property
    def patience(self) -> int:
        """How many failures are one too few to give up."""
        return 6 if self.backoff_limit is None else self.backoff_limit


class JobStatus(Model):
    start_time: Time | None = None
    completion_time: Time | None = None
    active: int | None = None
    ready: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    terminating: int | None = None
    conditions: Items[Condition] = ()

    def has(self, type: str) -> bool:
        """Whether the condition (Complete, Failed, Suspended) is True."""
        return any(condition.type == type and condition.status == "True" for condition in self.conditions)


class Job(KubeObject):
    PLURAL: ClassVar[str] = "jobs"
    GROUP: ClassVar[str] = "batch"

    api_version: str = "batch/v1"
    kind: str = "Job"
    spec: JobSpec
    status: JobStatus = JobStatus()

    @property
    def finished(self) -> bool:
        return self.status.has("Complete") or self.status.has("Failed")
