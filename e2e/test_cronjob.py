"""CronJobs on real pods: runs that were missed while the daemon was down, and concurrencyPolicy."""

from datetime import UTC, datetime

from e2e.checks import eventually, kill
from e2e.project import Project


def cron(command: str = "echo ran", more: str = "") -> str:
    return f"""
        apiVersion: batch/v1
        kind: CronJob
        metadata: {{name: tick}}
        spec:
          schedule: "@every 1s"
          {more}
          jobTemplate:
            spec:
              template:
                metadata: {{labels: {{app: tick}}}}
                spec:
                  restartPolicy: Never
                  terminationGracePeriodSeconds: 0
                  containers: [{{name: main, image: local/host, command: [sh, -c, "{command}"]}}]
        """


def test_it_runs_and_makes_up_for_what_it_missed(project: Project) -> None:
    """One run after the time has come; after the daemon was down past the next, one more, and no run twice."""
    project.objects(cron())
    status = eventually(lambda: project.get("cronjob", "tick").get("status", {}).get("lastSuccessfulTime"))
    assert status
    assert "ran" in project.orch("logs", "-n", project.name, "cronjob/tick").expect().out
    assert "cronjob/tick" in project.orch("status", "-n", project.name).expect().out
    assert "@every 1s" in project.orch("get", "cj", "-n", project.name).expect().out
    kill(project.daemon.daemon_pid)
    down = datetime.now(UTC)
    project.daemon.start()

    def later() -> bool:
        last = project.get("cronjob", "tick")["status"]["lastScheduleTime"]
        return datetime.fromisoformat(last) >= down.replace(microsecond=0)

    eventually(later)
    jobs = project.daemon.items("jobs", project.name)
    stamps = [job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] for job in jobs]
    assert len(set(stamps)) == len(stamps)


def test_forbid_starts_nothing_beside_one_that_runs(project: Project) -> None:
    project.objects(cron("exec sleep infinity", "concurrencyPolicy: Forbid"))
    eventually(lambda: "JobAlreadyActive" in project.orch("events", "-n", project.name).expect().out)
    assert len(project.daemon.items("jobs", project.name)) == 1
    [active] = project.get("cronjob", "tick")["status"]["active"]
    assert [active["name"]] == project.daemon.names("jobs", project.name)
    project.orch("delete", "-n", project.name, "cronjob/tick").expect()
    eventually(lambda: not project.daemon.items("jobs", project.name))
    eventually(lambda: not project.daemon.items("pods", project.name))
