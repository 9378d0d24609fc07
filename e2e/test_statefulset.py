"""StatefulSets on real pods: order, names found by DNS, storage that stays, one pod at a time in an update."""

from typing import Any

from e2e.checks import eventually
from e2e.project import Project


def stateful(replicas: int = 2, version: str = "1", more: str = "") -> str:
    """Each pod writes its host name to its own volume and keeps what was there before."""
    return f"""
        apiVersion: v1
        kind: Service
        metadata: {{name: db}}
        spec: {{clusterIP: None, selector: {{app: db}}, ports: [{{port: 80}}]}}
        ---
        apiVersion: apps/v1
        kind: StatefulSet
        metadata: {{name: db}}
        spec:
          replicas: {replicas}
          serviceName: db
          selector: {{matchLabels: {{app: db}}}}
          {more}
          template:
            metadata: {{labels: {{app: db}}}}
            spec:
              terminationGracePeriodSeconds: 1
              containers:
                - name: main
                  image: local/host
                  command: [sh, -c, "echo $(uname -n) {version} >> /data/log; exec sleep infinity"]
                  volumeMounts: [{{name: data, mountPath: /data}}]
          volumeClaimTemplates:
            - metadata: {{name: data}}
              spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}}}
        """


def log(project: Project, pod: str) -> list[str]:
    return project.exec(f"pod/{pod}", "cat", "/data/log").expect().out.split("\n")[:-1]


def by_name(project: Project) -> dict[str, Any]:
    return {pod["metadata"]["name"]: pod for pod in project.pods()}


def test_pods_have_order_names_and_storage_that_stay(project: Project) -> None:
    """db-0 runs before db-1 is made; each finds the other by name; an update rolls from the last and keeps the data."""
    project.objects(stateful())
    pods = by_name(project)
    assert sorted(pods) == ["db-0", "db-1"]
    times = [pods[name]["metadata"]["creationTimestamp"] for name in ("db-0", "db-1")]
    assert times == sorted(times)
    name = f"db-1.db.{project.name}.svc.cluster.local"
    address = pods["db-1"]["status"]["podIP"]
    for asked in (name, f"db-1.db.{project.name}.svc", "db-1.db"):
        code = f"import socket; print({{a[4][0] for a in socket.getaddrinfo({asked!r}, 80)}})"
        eventually(lambda: address in project.exec("pod/db-0", "python3", "-c", code).out, what=asked)  # noqa: B023
    assert project.exec("pod/db-1", "hostname", "-f").out.strip() == name

    project.objects(stateful(version="2"))
    assert [log(project, each) for each in ("db-0", "db-1")] == [["db-0 1", "db-0 2"], ["db-1 1", "db-1 2"]]
    after = by_name(project)
    assert all(after[each]["metadata"]["uid"] != pods[each]["metadata"]["uid"] for each in pods)
    assert after["db-1"]["metadata"]["creationTimestamp"] <= after["db-0"]["metadata"]["creationTimestamp"]

    project.orch("scale", "-n", project.name, "db=1").expect()
    eventually(lambda: sorted(by_name(project)) == ["db-0"])
    assert project.daemon.names("persistentvolumeclaims", project.name) == ["data-db-0", "data-db-1"]
    project.orch("scale", "-n", project.name, "statefulset/db=2").expect()
    assert log(project, "db-1") == ["db-1 1", "db-1 2", "db-1 2"]


def test_claims_go_with_the_set_where_the_policy_says_so(project: Project) -> None:
    more = "persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Delete}"
    project.objects(stateful(2, more=f"podManagementPolicy: Parallel\n          {more}"))
    project.orch("scale", "-n", project.name, "db=1").expect()
    eventually(lambda: project.daemon.names("persistentvolumeclaims", project.name) == ["data-db-0"])
    project.orch("delete", "-n", project.name, "statefulset/db").expect()
    eventually(lambda: not project.daemon.names("persistentvolumeclaims", project.name))
    assert project.daemon.names("controllerrevisions", project.name) == []


def test_others_wait_for_it(project: Project) -> None:
    """orchestr.dev/depends-on may name a StatefulSet; status, describe and logs know the kind."""
    waiting = """
        ---
        apiVersion: v1
        kind: Pod
        metadata:
          name: web
          annotations: {orchestr.dev/depends-on: statefulset/db}
        spec:
          terminationGracePeriodSeconds: 0
          containers: [{name: main, image: local/host, command: [sleep, infinity]}]
        """
    project.objects(stateful(1) + waiting)
    pods = by_name(project)
    ready = next(c for c in pods["db-0"]["status"]["conditions"] if c["type"] == "Ready")["lastTransitionTime"]
    started = pods["web"]["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    assert ready.removesuffix("Z") <= started  # of the second; of the microsecond
    tree = project.orch("status", "-n", project.name).expect().out
    assert "statefulset/db" in tree
    assert "SuccessfulCreate" in project.orch("describe", "-n", project.name, "sts", "db").expect().out
    assert project.orch("wait", "-n", project.name, "statefulset/db", "--for", "ready", "--timeout", "20s").code == 0
