"""`orch apply`: the machine becomes what the files say, and the exit code tells the truth."""

from e2e.project import Project


def test_a_stack_runs_once_apply_has_returned(stack_ready: Project) -> None:
    """Apply waits: when it returns 0, every service has a ready pod with a process in it."""
    for service in ("web", "worker"):
        assert stack_ready.pid(service)
    assert (
        stack_ready.sh(
            "worker", "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://web:8000\").status)'"
        )
        == "200\n"
    )


def test_the_same_again_changes_nothing(stack_applied: Project) -> None:
    """Applying unchanged files says so for each object and restarts nothing."""
    before = [pod["metadata"]["uid"] for pod in stack_applied.pods()]
    again = stack_applied.orch("apply").expect()
    assert [line.split()[-1] for line in again.lines] == ["unchanged", "unchanged"]
    assert [pod["metadata"]["uid"] for pod in stack_applied.pods()] == before
