"""CronJob (batch/v1): Jobs at certain times."""

from typing import ClassVar

from orchestr.api.base import Items, KubeObject, Model, ObjectMeta, Time
from orchestr.api.batch import JobSpec
from orchestr.api.meta import ObjectReference

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"  # annotation of its Jobs
INSTANTIATE = "cronjob.kubernetes.io/instantiate"  # annotation of a Job that a person made from it


class JobTemplateSpec(Model):
    metadata: ObjectMeta = ObjectMeta()
    spec: JobSpec


class CronJobSpec(Model):
    schedule: str
    job_template: JobTemplateSpec
    time_zone: str | None = None  # None: the machine's
    concurrency_policy: str = "Allow"  # Allow, Forbid, Replace
    starting_deadline_seconds: int | None = None
    suspend: bool = False
    successful_jobs_history_limit: int = 3
    failed_jobs_history_limit: int = 1


class CronJobStatus(Model):
    active: Items[ObjectReference] = ()
    last_schedule_time: Time | None = None
    last_successful_time: Time | None = None


class CronJob(KubeObject):
    PLURAL: ClassVar[str] = "cronjobs"
    GROUP: ClassVar[str] = "batch"
    SHORT: ClassVar[tuple[str, ...]] = ("cj",)

    api_version: str = "batch/v1"
    kind: str = "CronJob"
    spec: CronJobSpec
    status: CronJobStatus = CronJobStatus()
