"""Discovery as kubectl reads it, health and version."""

from tests.server.daemon import Daemon


async def test_groups_and_resources(served: Daemon) -> None:
    assert (await served.request("GET", "/api"))[1]["versions"] == ["v1"]
    _, groups = await served.request("GET", "/apis")
    names = [group["name"] for group in groups["groups"]]
    assert {"apps", "batch", "discovery.k8s.io", "orchestr.dev", "metrics.k8s.io"} <= set(names)
    for group in groups["groups"]:
        assert (await served.request("GET", f"/apis/{group['name']}"))[1]["kind"] == "APIGroup"
        for version in group["versions"]:
            _, found = await served.request("GET", f"/apis/{version['groupVersion']}")
            assert found["resources"], version
            assert found["groupVersion"] == version["groupVersion"]
    _, core = await served.request("GET", "/api/v1")
    pods = {each["name"]: each for each in core["resources"] if each["name"].startswith("pods")}
    assert set(pods) == {
        "pods",
        *(
            f"pods/{part}"
            for part in (
                "status",
                "log",
                "exec",
                "attach",
                "portforward",
                "eviction",
                "binding",
                "ephemeralcontainers",
                "resize",
            )
        ),
    }
    assert (pods["pods"]["shortNames"], pods["pods"]["namespaced"], pods["pods"]["kind"]) == (["po"], True, "Pod")


async def test_every_listed_collection_can_be_listed_and_watched(served: Daemon) -> None:
    _, core = await served.request("GET", "/api/v1")
    for resource in core["resources"]:
        if "list" in resource["verbs"]:
            status, found = await served.request("GET", f"/api/v1/{resource['name']}")
            assert (status, found["kind"]) == (200, f"{resource['kind']}List")


async def test_version_and_health(served: Daemon) -> None:
    _, version = await served.request("GET", "/version")
    assert version["gitVersion"].startswith("v1.")
    for path in ("/livez", "/readyz", "/healthz", "/readyz/ping"):
        status, _, body = await served.raw(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert (status, body) == (200, b"ok")


async def test_system_stop_and_metrics(served: Daemon) -> None:
    _, system = await served.request("GET", "/orchestr.dev/v1/system")
    assert system["running"] is True
    assert (await served.request("POST", "/orchestr.dev/v1/stop?all=true"))[0] == 200
    assert served.node.stopped == [True]
    _, pods = await served.request("GET", "/apis/metrics.k8s.io/v1beta1/pods")
    assert pods["items"][0]["containers"][0]["usage"]["cpu"] == "250000000n"
    _, pod = await served.request("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web")
    assert pod["metadata"]["name"] == "web"
    assert (await served.request("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/x"))[0] == 404
