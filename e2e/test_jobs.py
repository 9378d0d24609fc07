"""Jobs: so many successes, so many at a time, so many failures; until then, and what is left after."""

from datetime import datetime
from typing import Any

import pytest

from e2e.checks import alive, eventually
from e2e.project import Project


def job(spec: str, command: str, restart: str = "Never", name: str = "work") -> str:
    return f"""
        apiVersion: batch/v1
        kind: Job
        metadata: {{name: {name}}}
        spec:
          {spec}
          template:
            metadata: {{labels: {{app: {name}}}}}
            spec:
              restartPolicy: {restart}
              terminationGracePeriodSeconds: 0
              containers: [{{name: main, image: local/host, command: [sh, -c, {command!r}]}}]
        """


def status(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = project.get("job", "work")["status"]
    return found


def condition(project: Project, kind: str) -> dict[str, Any]:
    found = [c for c in status(project).get("conditions", []) if c["type"] == kind and c["status"] == "True"]
    return found[0] if found else {}


def spans(project: Project) -> list[tuple[datetime, datetime]]:
    """When each finished pod's container began and ended."""
    ends = [pod["status"]["containerStatuses"][0]["state"]["terminated"] for pod in project.pods()]
    return [(datetime.fromisoformat(end["startedAt"]), datetime.fromisoformat(end["finishedAt"])) for end in ends]


def test_completions_and_parallelism(project: Project) -> None:
    """Six successes, never more than two at once: apply waits for the end."""
    most = 0
    project.objects(job("completions: 6\n          parallelism: 2", "sleep 0.3"), "--detach")

    def finished() -> bool:
        nonlocal most
        most = max(most, sum(pod["status"].get("phase") in (None, "Pending", "Running") for pod in project.pods()))
        return bool(condition(project, "Complete"))

    eventually(finished)
    assert most == 2
    assert status(project)["succeeded"] == 6
    assert len(spans(project)) == 6
    assert status(project)["completionTime"]
    project.objects(job("completions: 6\n          parallelism: 2", "sleep 0.3"))


@pytest.mark.parametrize(("restart", "pods"), [("Never", 3), ("OnFailure", 1)])
def test_the_backoff_limit_ends_a_hopeless_job(project: Project, restart: str, pods: int) -> None:
    """Never: three pods, each failed. OnFailure: the container of one pod is restarted. Then the Job has failed."""
    done = project.objects(job("backoffLimit: 2", "echo cannot >&2; exit 3", restart), code=1)
    assert "3" in done.err + done.out
    failed = eventually(lambda: condition(project, "Failed"))
    assert failed["reason"] == "BackoffLimitExceeded"
    if restart == "Never":
        assert len(project.pods()) == pods
        assert all(pod["status"]["phase"] == "Failed" for pod in project.pods())
        assert status(project)["failed"] == pods
    eventually(lambda: not status(project).get("active"))


def test_on_failure_restarts_in_the_same_pod(project: Project) -> None:
    script = "[ -e /work/second ] || { touch /work/second; exit 1; }"
    text = job("backoffLimit: 3", script, "OnFailure").replace(
        "command:", "volumeMounts: [{name: w, mountPath: /work}], command:"
    )
    project.objects(text.replace("containers:", "volumes: [{name: w, emptyDir: {}}]\n              containers:"))
    pod = project.pod()
    assert pod["status"]["phase"] == "Succeeded"
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 1


def test_a_finished_job_goes_after_its_time(project: Project) -> None:
    project.objects(job("ttlSecondsAfterFinished: 1", "true"))
    eventually(lambda: not project.daemon.items("jobs", project.name), within=5)
    eventually(lambda: not project.daemon.items("pods", project.name), within=5)


def test_the_deadline_ends_what_runs(project: Project) -> None:
    project.objects(job("activeDeadlineSeconds: 2", "exec sleep infinity"), "--detach")
    pid = project.pid()
    failed = eventually(lambda: condition(project, "Failed"), within=10)
    assert failed["reason"] == "DeadlineExceeded"
    eventually(lambda: not alive(pid))


def test_a_pods_own_deadline(project: Project) -> None:
    text = """
        apiVersion: v1
        kind: Pod
        metadata: {name: short}
        spec:
          activeDeadlineSeconds: 2
          terminationGracePeriodSeconds: 0
          containers: [{name: main, image: local/host, command: [sleep, infinity]}]
        """
    project.objects(text)
    pid = project.pid()
    ended = eventually(lambda: pod if (pod := project.pod())["status"]["phase"] == "Failed" else None, within=10)
    assert ended["status"]["reason"] == "DeadlineExceeded"
    assert not alive(pid)


def test_suspend_ends_the_pods_and_resume_makes_new_ones(project: Project) -> None:
    project.objects(job("suspend: true", "sleep 1"), "--detach")
    eventually(lambda: condition(project, "Suspended"))
    assert not project.pods()
    patch = {"spec": {"suspend": False}}
    where = f"/apis/batch/v1/namespaces/{project.name}/jobs/work"
    before = project.daemon.get(where)
    before["spec"] |= patch["spec"]
    assert project.daemon.request("PUT", where, before)[0] == 200
    eventually(lambda: condition(project, "Complete"))
    assert not condition(project, "Suspended")


def test_a_job_that_is_deleted_ends_its_pods(project: Project) -> None:
    project.objects(job("parallelism: 2", "exec sleep infinity"), "--detach")
    pods = eventually(lambda: found if len(found := project.pods()) == 2 else None)
    pids = [project.daemon.pid(pod, "main") for pod in pods]
    project.orch("delete", "job", "work", "-n", project.name).expect()
    eventually(lambda: not project.daemon.items("pods", project.name))
    assert not any(alive(pid) for pid in pids)


def test_an_indexed_job_tells_each_pod_its_index(project: Project) -> None:
    """By variable, host name, annotation and label; index 1 may fail once and is tried again."""
    command = "echo index $JOB_COMPLETION_INDEX on $(uname -n); test $JOB_COMPLETION_INDEX != 1"
    spec = (
        "completions: 3\n          parallelism: 3\n          completionMode: Indexed\n          backoffLimitPerIndex: 1"
    )
    project.objects(job(spec, command), code=1)
    assert condition(project, "Failed")["reason"] == "FailedIndexes"
    found = status(project)
    assert (found["completedIndexes"], found["failedIndexes"], found["failed"]) == ("0,2", "1", 2)
    told = project.orch("logs", "-n", project.name, "--no-log-prefix", "job/work").expect().lines
    assert sorted(told) == [f"index {i} on work-{i}" for i in (0, 1, 1, 2)]


def test_a_failure_policy_looks_at_the_exit_code(project: Project) -> None:
    rule = "{action: FailJob, onExitCodes: {operator: In, values: [42]}}"
    spec = f"backoffLimit: 6\n          podFailurePolicy: {{rules: [{rule}]}}"
    project.objects(job(spec, "exit 42"), code=1)
    assert condition(project, "Failed")["reason"] == "PodFailurePolicy"
    assert "failed with exit code 42 matching FailJob rule at index 0" in condition(project, "Failed")["message"]
    assert len(project.pods()) == 1


def test_a_success_policy_ends_the_rest(project: Project) -> None:
    policy = 'successPolicy: {rules: [{succeededIndexes: "0"}]}'
    spec = f"completions: 2\n          parallelism: 2\n          completionMode: Indexed\n          {policy}"
    project.objects(job(spec, "test $JOB_COMPLETION_INDEX = 0 || exec sleep infinity"))
    assert condition(project, "SuccessCriteriaMet")["reason"] == "SuccessPolicy"
    assert condition(project, "Complete")["reason"] == "SuccessPolicy"
    found = status(project)
    assert (found["completedIndexes"], found["active"], found["terminating"]) == ("0", 0, 0)
