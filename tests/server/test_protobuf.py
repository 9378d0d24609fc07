"""Bodies in protobuf: what a Go client encodes is what JSON would have said."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.api.errors import BadRequest
from orchestr.server.protobuf import MAGIC, from_protobuf
from tests.server.daemon import Daemon

PODS = "/api/v1/namespaces/default/pods"


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    found = b""
    while value > 0x7F:
        found, value = found + bytes([value & 0x7F | 0x80]), value >> 7
    return found + bytes([value])


def field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return MAGIC + field(1, field(1, api_version) + field(2, kind)) + field(2, raw) + field(3, "") + field(4, "")


def pair(key: str, value: str | bytes) -> bytes:
    return field(1, key) + field(2, value)


def read(kind: str, raw: bytes) -> dict[str, Any]:
    found = from_protobuf(envelope("v1", kind, raw))
    return {name: value for name, value in found.items() if name not in ("apiVersion", "kind")}


def test_scalars_maps_lists_and_what_is_inlined() -> None:
    meta = field(1, "p") + field(5, "") + field(8, b"") + field(11, pair("app", "x")) + field(14, "a") + field(14, "b")
    volume = field(1, "v") + field(2, field(2, b""))  # an emptyDir, through the inlined source
    port = field(2, 0) + field(3, 80)
    probe = field(1, field(2, field(1, "/") + field(2, field(1, 0) + field(2, 8080) + field(3, ""))))
    limit = field(1, pair("cpu", field(1, "100m")))
    container = field(1, "c") + field(6, port) + field(8, limit) + field(10, probe)
    spec = field(1, volume) + field(2, container) + field(4, 0) + field(5, -1)
    assert read("Pod", field(1, meta) + field(2, spec) + field(3, b"")) == {
        "metadata": {"name": "p", "labels": {"app": "x"}, "finalizers": ["a", "b"]},
        "spec": {
            "volumes": [{"name": "v", "emptyDir": {}}],
            "containers": [
                {
                    "name": "c",
                    "ports": [{"containerPort": 80}],
                    "resources": {"limits": {"cpu": "100m"}},
                    "livenessProbe": {"httpGet": {"path": "/", "port": 8080}},
                }
            ],
            "terminationGracePeriodSeconds": 0,
            "activeDeadlineSeconds": -1,
        },
    }


def test_times_and_bytes() -> None:
    secret = field(1, field(1, "s") + field(8, field(1, 1_767_225_600))) + field(2, pair("k", b"\xff"))
    found = read("Secret", secret)
    assert found == {"metadata": {"name": "s", "creationTimestamp": "2026-01-01T00:00:00Z"}, "data": {"k": "/w=="}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"k8s\0",
        envelope("v1", "Nothing", b""),
        envelope("v1", "Pod", b"\x0a\x05ab"),
        envelope("v1", "Pod", b"\xff" * 12),
        envelope("v1", "Pod", b"\x0b"),
        envelope("v1", "Pod", field(1, field(1, b"\xff"))),
        envelope("v1", "Pod", field(1, 7)),
        envelope("v1", "Pod", field(1, field(7, b"x"))),
    ],
)
def test_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        from_protobuf(body)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert isinstance(from_protobuf(envelope("v1", "Pod", raw)), dict)


async def test_created_and_deleted(served: Daemon) -> None:
    headers = {"content-type": "application/vnd.kubernetes.protobuf", "accept": "application/vnd.kubernetes.protobuf"}
    pod = field(1, field(1, "p")) + field(2, field(2, field(1, "c") + field(2, "local/host")))
    status, made = await served.request("POST", PODS, envelope("v1", "Pod", pod), headers)
    assert (status, made["spec"]["containers"][0]["image"]) == (201, "local/host")
    options = envelope("v1", "DeleteOptions", field(1, 0) + field(2, field(1, "other")))
    status, error = await served.request("DELETE", f"{PODS}/p", options, headers)
    assert (status, error["reason"]) == (409, "Conflict")
    status, _ = await served.request("DELETE", f"{PODS}/p", envelope("v1", "DeleteOptions", field(1, 0)), headers)
    assert status == 200
