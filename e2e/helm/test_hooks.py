"""Hooks: when they run, in which order, what is left of them, and what one that fails does to the release."""

import json

from e2e.checks import eventually
from e2e.helm.conftest import PATIENCE, SHOP, Helm

INSTALL = ("install", "s", SHOP, "--create-namespace", "--wait", "--wait-for-jobs", PATIENCE)


def jobs(helm: Helm) -> dict[str, tuple[str, str]]:
    """Jobs by name: when each was created, and when it ended."""
    listed = json.loads(helm.kubectl("get", "jobs", "-o", "json"))["items"]
    return {
        job["metadata"]["name"]: (job["metadata"]["creationTimestamp"], job["status"].get("completionTime", ""))
        for job in listed
    }


def completed(helm: Helm) -> dict[str, str]:
    """The four jobs of an install, and when each ended, to the second; AssertionError before all have."""
    events = json.loads(helm.kubectl("get", "events", "-o", "json"))["items"]
    ends = {each["involvedObject"]["name"]: each["lastTimestamp"] for each in events if each["reason"] == "Completed"}
    assert len(ends) == 4, ends
    return ends


def test_hooks_run_at_their_moment_and_leave_what_their_policy_says(helm: Helm) -> None:
    helm.ok(*INSTALL)
    there = jobs(helm)
    # s-first has the lower weight and the policy hook-succeeded: it was there, and it is gone.
    assert set(there) == {"s-pre-install", "s-post-install", "s-seed"}
    assert there["s-pre-install"][1] <= there["s-seed"][0] <= there["s-post-install"][0]
    ends = eventually(lambda: completed(helm))
    assert ends["s-first"] <= ends["s-pre-install"] <= ends["s-seed"] <= ends["s-post-install"]
    assert helm.ok("get", "hooks", "s").count("helm.sh/hook:") == 9

    helm.ok("upgrade", "s", SHOP, "--wait", PATIENCE)
    assert set(jobs(helm)) == {"s-pre-install", "s-post-install", "s-pre-upgrade", "s-seed"}
    before = helm.kubectl("get", "job", "s-pre-upgrade", "-o", "jsonpath={.metadata.uid}")
    helm.ok("upgrade", "s", SHOP, "--wait", PATIENCE)  # before-hook-creation: made anew
    assert helm.kubectl("get", "job", "s-pre-upgrade", "-o", "jsonpath={.metadata.uid}") != before

    helm.ok("uninstall", "s", "--wait", PATIENCE)
    assert {"s-pre-delete", "s-post-delete"} <= set(jobs(helm))
    assert "s-seed" not in jobs(helm)


def test_a_hook_that_fails_stops_the_release(helm: Helm) -> None:
    """Nothing of the chart is made; with roll-back, nothing of the release is left."""
    bad = helm(*INSTALL, "--set", "failHook=pre-install")
    assert bad.code == 1, bad.out
    assert "failed pre-install" in bad.err
    assert helm.found("deploy,svc,pvc") == []
    assert helm.history("s") == [(1, "failed")]

    bad = helm("upgrade", "--install", "t", SHOP, "--rollback-on-failure", PATIENCE, "--set", "failHook=post-install")
    assert bad.code == 1, bad.out
    assert helm.found("deploy,svc") == []
    assert [each["name"] for each in helm.json("list")] == ["s"]
