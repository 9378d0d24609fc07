"""The life of a release: install, upgrade, the upgrade that fails, rollback, history, tests, uninstall."""

from e2e.helm.conftest import PATIENCE, SHOP, Helm

INSTALL = ("upgrade", "--install", "s", SHOP, "--create-namespace", "--wait", "--wait-for-jobs", PATIENCE)
ATOMIC = {3: "--atomic", 4: "--rollback-on-failure"}


def greeting(helm: Helm) -> str:
    return helm.kubectl("exec", "deploy/s", "--", "printenv", "GREETING").strip()


def test_a_release_lives_from_install_to_uninstall(any_helm: Helm) -> None:
    """One release through all that a pipeline does with it; each step's outcome is looked at in the cluster."""
    helm = any_helm
    assert "s says hello, revision 1." in helm.ok(*INSTALL, "--set", "hooks=false")
    there = helm.found("deploy,sts,cronjob,svc,cm,secret,pvc,sa,role,rolebinding,job,widgets")
    for each in ("cronjob/s-tidy", "persistentvolumeclaim/data-s-db-0", "statefulset/s-db",
                 "configmap/s-config", "deployment/s", "job/s-seed", "persistentvolumeclaim/s-data", "role/s-reader",
                 "rolebinding/s-reader", "secret/s-password", "secret/sh.helm.release.v1.s.v1", "service/s",
                 "serviceaccount/s", "widget/s"):  # fmt: skip
        assert each in there
    assert greeting(helm) == "hello"
    assert helm.json("status", "s")["info"]["status"] == "deployed"
    assert [each["name"] for each in helm.json("list")] == ["s"]
    password = helm.kubectl("get", "secret", "s-password", "-o", "jsonpath={.data.password}")

    # An upgrade: the checksum in the template's annotations rolls the pods; what was looked up is kept.
    helm.ok(*INSTALL, "--set", "hooks=false,greeting=hi")
    assert greeting(helm) == "hi"
    assert helm.kubectl("get", "secret", "s-password", "-o", "jsonpath={.data.password}") == password
    assert helm.json("get", "values", "s") == {"greeting": "hi", "hooks": False}
    assert 'GREETING: "hi"' in helm.ok("get", "manifest", "s")
    assert 'GREETING: "hello"' in helm.ok("get", "manifest", "s", "--revision", "1")

    # One that fails when the new pods are there already: helm undoes it.
    bad = helm(*INSTALL, ATOMIC[helm.generation], "--set", "greeting=bad,failHook=post-upgrade")
    assert bad.code == 1, bad.out
    assert "rolled back" in bad.err
    assert helm.history("s") == [(1, "superseded"), (2, "superseded"), (3, "failed"), (4, "deployed")]
    assert greeting(helm) == "hi"

    helm.ok("rollback", "s", "1", "--wait", PATIENCE)
    assert greeting(helm) == "hello"
    assert helm.history("s")[-1] == (5, "deployed")

    tested = helm.ok("test", "s", "--logs", PATIENCE)
    assert "Succeeded" in tested
    assert "answered 200" in tested

    # A kept claim stays, the definitions of the crds directory stay, the rest goes.
    helm.ok("uninstall", "s", "--wait", PATIENCE)
    assert helm.found("deploy,sts,cronjob,svc,secret,role,rolebinding,widgets") == []
    assert helm.found("job", "s-seed") == []
    assert helm.found("pvc") == ["persistentvolumeclaim/data-s-db-0", "persistentvolumeclaim/s-data"]
    assert helm.found("crd", "widgets.shop.example.com") == ["customresourcedefinition/widgets.shop.example.com"]
    assert "not found" in helm("status", "s").err


def test_pods_that_never_get_ready_fail_an_upgrade(helm: Helm) -> None:
    """Told by the Deployment's own condition long before helm's patience ends; the old pods serve all the time."""
    helm.ok(*INSTALL, "--set", "hooks=false")
    (pod,) = helm.found("pod", "-l", "app.kubernetes.io/name=shop")
    bad = helm(*INSTALL, ATOMIC[helm.generation], "--set", "hooks=false,greeting=bad,broken=true")
    assert bad.code == 1, bad.out
    assert "Progress deadline exceeded" in bad.err
    assert helm.history("s") == [(1, "superseded"), (2, "failed"), (3, "deployed")]
    assert helm.found("pod", "-l", "app.kubernetes.io/name=shop") == [pod]
    assert greeting(helm) == "hello"
