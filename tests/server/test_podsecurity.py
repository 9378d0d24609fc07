"""Pod Security admission by the labels of a namespace."""

from typing import Any

from tests.server.daemon import Daemon

PREFIX = "pod-security.kubernetes.io/"
MERGE = {"content-type": "application/merge-patch+json"}


async def space(served: Daemon, **labels: str) -> str:
    wanted = {PREFIX + key.replace("_", "-"): value for key, value in labels.items()}
    body = {"metadata": {"name": "safe", "labels": wanted}}
    status, made = await served.request("POST", "/api/v1/namespaces", body)
    assert status == 201, made
    return "/api/v1/namespaces/safe/pods"


def pod(name: str = "a", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "main", "image": "local/host"}], **spec}}


async def warned(served: Daemon, method: str, path: str, body: dict[str, Any], kind: str = "application/json") -> str:
    import json

    data = json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\ncontent-type: {kind}\r\n\r\n"
    status, headers, text = await served.raw(head.encode() + data)
    assert status < 300, text
    return headers.get("warning", "")


async def test_a_pod_that_is_not_taken(served: Daemon) -> None:
    pods = await space(served, enforce="baseline")
    status, answer = await served.request("POST", pods, pod(hostNetwork=True))
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert answer["message"] == (
        'pods "a" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)'
    )
    assert (await served.request("POST", pods, pod()))[0] == 201
    assert (await served.request("POST", "/api/v1/namespaces/default/pods", pod(hostNetwork=True)))[0] == 201


async def test_warnings_come_for_pods_and_for_what_makes_them(served: Daemon) -> None:
    pods = await space(served, warn="restricted", warn_version="v1.36")
    assert 'would violate PodSecurity \\"restricted:v1.36\\": allowPrivilegeEscalation != false' in await warned(
        served, "POST", pods, pod()
    )
    template = {"metadata": {"labels": {"app": "a"}}, **{k: v for k, v in pod(hostPID=True).items() if k == "spec"}}
    body = {"metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template}}
    path = "/apis/apps/v1/namespaces/safe/deployments"
    assert "host namespaces (hostPID=true)" in await warned(served, "POST", path, body)


async def test_what_makes_pods_is_not_refused(served: Daemon) -> None:
    await space(served, enforce="restricted")
    template = {"metadata": {"labels": {"app": "a"}}, **{k: v for k, v in pod(hostPID=True).items() if k == "spec"}}
    body = {"metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template}}
    assert (await served.request("POST", "/apis/apps/v1/namespaces/safe/deployments", body))[0] == 201


async def test_a_stricter_label_warns_of_what_is_there_and_lets_it_be(served: Daemon) -> None:
    pods = await space(served)
    for name in ("a", "b"):
        assert (await served.request("POST", pods, pod(name, hostPID=True)))[0] == 201
    patch = {"metadata": {"labels": {f"{PREFIX}enforce": "baseline"}}}
    told = await warned(served, "PATCH", "/api/v1/namespaces/safe", patch, "application/merge-patch+json")
    assert "a (and 1 other pod): host namespaces" in told
    patch = {"metadata": {"labels": {"app": "x"}}}
    assert (await served.request("PATCH", f"{pods}/a", patch, MERGE))[0] == 200
    assert (await served.request("POST", pods, pod("c", hostPID=True)))[0] == 403


async def test_labels_have_to_say_something(served: Daemon) -> None:
    body: dict[str, Any] = {"metadata": {"name": "x", "labels": {f"{PREFIX}enforce": "strict"}}}
    status, answer = await served.request("POST", "/api/v1/namespaces", body)
    assert status == 422
    assert answer["details"]["causes"][0]["field"] == f"metadata.labels[{PREFIX}enforce]"
    body["metadata"]["labels"] = {f"{PREFIX}audit-version": "1.2"}
    assert (await served.request("POST", "/api/v1/namespaces", body))[0] == 422


async def test_an_ephemeral_container_is_looked_at(served: Daemon) -> None:
    pods = await space(served, enforce="baseline")
    assert (await served.request("POST", pods, pod()))[0] == 201
    for privileged, code in ((True, 403), (False, 200)):
        debug = {"name": f"d{code}", "image": "local/host", "securityContext": {"privileged": privileged}}
        patch = {"spec": {"ephemeralContainers": [debug]}}
        strategic = {"content-type": "application/strategic-merge-patch+json"}
        status, answer = await served.request("PATCH", f"{pods}/a/ephemeralcontainers", patch, strategic)
        assert status == code, answer
        if code == 403:
            assert "violates PodSecurity" in answer["message"]
