"""Job (batch/v1): pods that run to their end."""

from typing import ClassVar

from orchestr.api.base import Condition, Items, KubeObject, Model, Time
from orchestr.api.meta import LabelSelector
from orchestr.api.pod import PodTemplateSpec

JOB_NAME = "batch.kubernetes.io/job-name"  # labels that a Job puts on its pods
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
INDEX = "batch.kubernetes.io/job-completion-index"  # label and annotation of an Indexed Job's pods
FAILURES = "batch.kubernetes.io/job-index-failure-count"  # annotation: how often the index failed before this pod
MANAGER = "kubernetes.io/job-controller"
LIMITLESS = 2**31 - 1


class PodFailurePolicyOnExitCodesRequirement(Model):
    operator: str  # In, NotIn
    values: Items[int] = ()
    container_name: str | None = None  # None: any


class PodFailurePolicyOnPodConditionsPattern(Model):
    type: str
    status: str | None = None  # True


class PodFailurePolicyRule(Model):
    action: str  # FailJob, FailIndex, Ignore, Count
    on_exit_codes: PodFailurePolicyOnExitCodesRequirement | None = None
    on_pod_conditions: Items[PodFailurePolicyOnPodConditionsPattern] = ()


class PodFailurePolicy(Model):
    rules: Items[PodFailurePolicyRule] = ()


class SuccessPolicyRule(Model):
    succeeded_indexes: str | None = None  # "0-2,5"
    succeeded_count: int | None = None


class SuccessPolicy(Model):
    rules: Items[SuccessPolicyRule] = ()


class JobSpec(Model):
    template: PodTemplateSpec
    selector: LabelSelector | None = None  # made by defaulting once the uid is known, unless manualSelector
    manual_selector: bool | None = None
    parallelism: int | None = None  # 1
    completions: int | None = None  # None with parallelism > 1: a work queue, done when one succeeds and all ended
    completion_mode: str | None = None  # NonIndexed, Indexed
    backoff_limit: int | None = None  # 6; endless with backoffLimitPerIndex
    backoff_limit_per_index: int | None = None
    max_failed_indexes: int | None = None
    active_deadline_seconds: int | None = None
    ttl_seconds_after_finished: int | None = None
    suspend: bool | None = None
    pod_replacement_policy: str | None = None  # TerminatingOrFailed, Failed
    pod_failure_policy: PodFailurePolicy | None = None
    success_policy: SuccessPolicy | None = None
    managed_by: str | None = None

    @property
    def parallel(self) -> int:
        """How many pods run at a time."""
        return 1 if self.parallelism is None else self.parallelism

    @property
    def patience(self) -> int:
        """How many failures are one too few to give up."""
        if self.backoff_limit is None:
            return 6 if self.backoff_limit_per_index is None else LIMITLESS
        return self.backoff_limit

    @property
    def indexed(self) -> bool:
        return self.completion_mode == "Indexed"


class UncountedTerminatedPods(Model):
    succeeded: Items[str] = ()
    failed: Items[str] = ()


class JobStatus(Model):
    start_time: Time | None = None
    completion_time: Time | None = None
    active: int | None = None
    ready: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    terminating: int | None = None
    completed_indexes: str | None = None  # "0-2,5"
    failed_indexes: str | None = None
    uncounted_terminated_pods: UncountedTerminatedPods | None = None  # of Kubernetes' controller; ours counts at once
    conditions: Items[Condition] = ()

    def has(self, type: str) -> bool:
        """Whether the condition (Complete, Failed, Suspended, ...) is True."""
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
