"""Wire objects for tests."""

from typing import Any


def pod_spec(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "web", "image": "local/host"}], **fields}


def pod(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": pod_spec(**fields)}


def deployment(**fields: Any) -> dict[str, Any]:
    spec = {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod_spec()},
        **fields,
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def job(**fields: Any) -> dict[str, Any]:
    spec = {"template": {"spec": pod_spec(restartPolicy="Never")}, **fields}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": spec}


def service(**fields: Any) -> dict[str, Any]:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}], **fields}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}
