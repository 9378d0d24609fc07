"""kubectl on CronJobs and Jobs: create, create --from, tables, describe."""

from e2e.kubectl.conftest import Kubectl

COMMAND = ("--image=local/host", "--", "sh", "-c", "echo hello")


def test_create_cronjob_and_a_job_from_it(kubectl: Kubectl) -> None:
    assert kubectl.ok("create", "cronjob", "tick", "--schedule=0 0 1 1 *", *COMMAND) == "cronjob.batch/tick created\n"
    (row,) = kubectl.table("cronjobs")
    assert [row[name] for name in ("NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE")] == [
        "tick",
        "0 0 1 1 *",
        "<none>",
        "False",
        "0",
        "<none>",
    ]
    assert kubectl.ok("create", "job", "now", "--from=cronjob/tick") == "job.batch/now created\n"
    kubectl.ok("wait", "job/now", "--for=condition=Complete", "--timeout=40s")
    assert kubectl.ok("logs", "job/now") == "hello\n"
    assert kubectl.ok("get", "job", "now", "-o", "jsonpath={.metadata.ownerReferences[0].kind}") == "CronJob"
    told = kubectl.ok("describe", "cronjob", "tick")
    assert "Concurrency Policy:            Allow" in told
    kubectl.ok("patch", "cronjob", "tick", "-p", '{"spec": {"suspend": true}}')
    assert kubectl.ok("get", "cj", "tick", "-o", "jsonpath={.spec.suspend}") == "true"
    message = kubectl.refused("create", "cronjob", "bad", "--schedule=61 * * * *", *COMMAND)
    assert "spec.schedule" in message
    kubectl.ok("delete", "cronjob", "tick")
    kubectl.ok("wait", "job/now", "--for=delete", "--timeout=20s")
