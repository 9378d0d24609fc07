"""The Pod Security Standards, check by check."""

from typing import Any

import pytest

from orchestr.api.podsecurity import Level, good_version, levels, violations

GOOD = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(*contexts: dict[str, Any], **spec: Any) -> dict[str, Any]:
    names = ("main", "side", "third")
    containers = [{"name": n, "securityContext": c} for n, c in zip(names, contexts or ({},), strict=False)]
    return {"containers": containers, **spec}


def told(level: str, spec: dict[str, Any], version: str = "latest", **annotations: str) -> str:
    return ", ".join(map(str, violations(Level(level, version), {"annotations": annotations}, spec)))


def test_a_plain_pod_is_baseline_and_a_careful_one_restricted() -> None:
    assert told("baseline", pod()) == ""
    assert told("restricted", pod(GOOD, GOOD)) == ""
    whole = pod({k: v for k, v in GOOD.items() if k in ("allowPrivilegeEscalation", "capabilities")})
    whole["securityContext"] = {"runAsNonRoot": True, "seccompProfile": {"type": "Localhost"}}
    assert told("restricted", whole) == ""
    assert told("privileged", pod({"privileged": True}, hostPID=True)) == ""


def test_what_a_plain_pod_lacks() -> None:
    assert told("restricted", pod({}, {})) == (
        'allowPrivilegeEscalation != false (containers "main", "side" must set '
        "securityContext.allowPrivilegeEscalation=false), "
        'unrestricted capabilities (containers "main", "side" must set securityContext.capabilities.drop=["ALL"]), '
        'runAsNonRoot != true (pod or containers "main", "side" must set securityContext.runAsNonRoot=true), '
        'seccompProfile (pod or containers "main", "side" must set securityContext.seccompProfile.type to '
        '"RuntimeDefault" or "Localhost")'
    )


BASELINE: list[tuple[dict[str, Any], str]] = [
    (pod(hostNetwork=True, hostPID=True), "host namespaces (hostNetwork=true, hostPID=true)"),
    (pod({"privileged": True}), 'privileged (container "main" must not set securityContext.privileged=true)'),
    (
        pod({"capabilities": {"add": ["NET_RAW", "CHOWN"]}}, {"capabilities": {"add": ["SYS_ADMIN"]}}),
        'non-default capabilities (containers "main", "side" must not include "NET_RAW", "SYS_ADMIN" in '
        "securityContext.capabilities.add)",
    ),
    (pod(volumes=[{"name": "a", "hostPath": {"path": "/"}}]), 'hostPath volumes (volume "a")'),
    (
        {"containers": [{"name": "main", "ports": [{"hostPort": 80}, {"hostPort": 443}]}]},
        'hostPort (container "main" uses hostPorts 80, 443)',
    ),
    (
        {"containers": [{"name": "main", "livenessProbe": {"httpGet": {"port": 80, "host": "10.0.0.1"}}}]},
        'probe or lifecycle host (container "main" uses probe or lifecycle host "10.0.0.1")',
    ),
    (
        pod({"procMount": "Unmasked"}),
        'procMount (container "main" must not set securityContext.procMount to "Unmasked")',
    ),
    (
        pod({"seccompProfile": {"type": "Unconfined"}}, securityContext={"seccompProfile": {"type": "Unconfined"}}),
        'seccompProfile (pod and container "main" must not set securityContext.seccompProfile.type to "Unconfined")',
    ),
    (
        pod(securityContext={"sysctls": [{"name": "kernel.msgmax"}, {"name": "net.ipv4.tcp_rmem"}]}),
        "forbidden sysctls (kernel.msgmax)",
    ),
    (
        pod({"appArmorProfile": {"type": "Unconfined"}}),
        'forbidden AppArmor profile (container "main" must not set AppArmor profile type to "Unconfined")',
    ),
    (
        pod({"seLinuxOptions": {"type": "spc_t"}}),
        'seLinuxOptions (container "main" set forbidden securityContext.seLinuxOptions)',
    ),
    (
        pod(securityContext={"windowsOptions": {"hostProcess": True}}),
        "hostProcess (must not set securityContext.windowsOptions.hostProcess=true)",
    ),
    ({"containers": [], "ephemeralContainers": [{"name": "e", "securityContext": {"privileged": True}}]}, "privileged"),
]


@pytest.mark.parametrize(("spec", "text"), BASELINE)
def test_what_baseline_forbids(spec: dict[str, Any], text: str) -> None:
    found = told("baseline", spec)
    assert found == text or found.startswith(f"{text} (")


RESTRICTED: list[tuple[dict[str, Any], str]] = [
    (
        pod({**GOOD, "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}),
        'unrestricted capabilities (container "main" must not include "CHOWN" in securityContext.capabilities.add)',
    ),
    (pod({**GOOD, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}), ""),
    (
        pod(GOOD, volumes=[{"name": "a", "hostPath": {}}, {"name": "b", "nfs": {}}, {"name": "c", "secret": {}}]),
        'restricted volume types (volumes "a", "b" use restricted volume types "hostPath", "nfs")',
    ),
    (
        pod({**GOOD, "runAsNonRoot": False}, securityContext={"runAsNonRoot": True}),
        'runAsNonRoot != true (container "main" must not set securityContext.runAsNonRoot=false)',
    ),
    (pod({**GOOD, "runAsUser": 0}), 'runAsUser=0 (container "main" must not set runAsUser=0)'),
    (pod(GOOD, securityContext={"runAsUser": 0}), "runAsUser=0 (pod must not set runAsUser=0)"),
]


@pytest.mark.parametrize(("spec", "text"), RESTRICTED)
def test_what_restricted_forbids(spec: dict[str, Any], text: str) -> None:
    assert told("restricted", spec) == text


def test_annotations_of_ours_are_no_way_around() -> None:
    assert "runAsUser=0" in told("restricted", pod(GOOD), **{"orchestr.dev/user": "root:users"})
    assert told("restricted", pod(GOOD), **{"orchestr.dev/user": "redis"}) == ""
    devices = '{"main": {"devices": [{"allow": true, "access": "rwm"}]}}'
    assert "devices" in told("baseline", pod(), **{"orchestr.dev/resources": devices})
    assert told("baseline", pod(), **{"orchestr.dev/resources": '{"main": {"pids": {"limit": 3}}}'}) == ""


def test_older_versions_ask_for_less() -> None:
    assert told("restricted", pod({}), "v1.7") == (
        'runAsNonRoot != true (pod or container "main" must set securityContext.runAsNonRoot=true)'
    )
    assert "runAsUser" not in told("restricted", pod({**GOOD, "runAsUser": 0}), "v1.22")
    assert told("baseline", pod(securityContext={"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}), "v1.31") != ""


def test_labels() -> None:
    prefix = "pod-security.kubernetes.io/"
    assert levels({"app": "x"}) == {}
    found = levels({f"{prefix}enforce": "baseline", f"{prefix}warn": "odd", f"{prefix}warn-version": "v1.30"})
    assert found == {"enforce": Level("baseline"), "audit": Level(), "warn": Level("restricted", "v1.30")}
    texts = ("latest", "v1.0", "v1.36", "v1.036", "1.3", "v1.x", "v2.0", "")
    assert [text for text in texts if good_version(text)] == ["latest", "v1.0", "v1.36"]
