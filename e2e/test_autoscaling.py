"""A Deployment that follows what its pods use, and says so."""

import json
from typing import Any

from e2e.checks import eventually
from e2e.daemon import Daemon

BUSY = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: busy}
spec:
  selector: {matchLabels: {app: busy}}
  template:
    metadata: {labels: {app: busy}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: local/host
        command: [sh, -c, "while :; do :; done"]
        resources: {requests: {cpu: 20m}, limits: {cpu: 100m}}
"""
HPA = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: busy}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: busy}
  maxReplicas: MOST
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 100}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
"""
PATH = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/busy"


def test_a_deployment_follows_the_use_of_its_pods(shared: Daemon) -> None:
    shared.orch("apply", "-f", "-", input=BUSY).expect()
    shared.orch("apply", "-f", "-", input=HPA.replace("MOST", "2")).expect()

    def hpa() -> Any:
        return shared.get(PATH)

    def replicas() -> int:
        return int(shared.get("/apis/apps/v1/namespaces/default/deployments/busy")["spec"]["replicas"])

    eventually(lambda: replicas() == 2, within=120, what="the busy deployment to grow")
    told = eventually(lambda: hpa()["status"].get("currentMetrics"), within=60)
    assert told[0]["resource"]["current"]["averageUtilization"] > 110
    assert eventually(lambda: "SuccessfulRescale" in json.dumps(shared.items("events")))
    shared.orch("apply", "-f", "-", input=HPA.replace("MOST", "1")).expect()
    eventually(lambda: replicas() == 1, within=120, what="the deployment to shrink")
    shared.orch("delete", "hpa", "busy", "--yes")
    shared.orch("delete", "deployment", "busy", "--yes").expect()
