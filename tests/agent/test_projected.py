"""Projected volumes: what becomes which file, and tokens that are followed by others in time."""

import os
import stat
from pathlib import Path

import pytest

from orchestr.agent.env import MissingConfig
from orchestr.agent.projected import files, stale, write
from orchestr.api.base import ObjectMeta
from orchestr.api.core import ConfigMap, Pod, Secret
from orchestr.api.volume import ProjectedVolumeSource

POD = Pod(metadata=ObjectMeta(name="p", namespace="shop", uid="u", labels={"b": 'x"y', "a": "1"}))


class Sources:
    def __init__(self) -> None:
        self.made = 0

    def config_map(self, name: str) -> ConfigMap | None:
        return ConfigMap(metadata=ObjectMeta(name=name), data={"k": "v", "l": "w"}) if name == "c" else None

    def secret(self, name: str) -> Secret | None:
        return Secret(metadata=ObjectMeta(name=name), string_data={"s": "t"}) if name == "s" else None

    def token(self, pod: Pod, audience: str, seconds: int) -> str:
        self.made += 1
        return f"{pod.metadata.name} {audience} {seconds} {self.made}"

    def ca(self) -> bytes:
        return b"CA"


def source(*sources: object, mode: int = 0o644) -> ProjectedVolumeSource:
    return ProjectedVolumeSource.model_validate({"sources": sources, "defaultMode": mode})


EVERY = (
    {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 700}},
    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    {"configMap": {"name": "c", "items": [{"key": "k", "path": "deep/er/k", "mode": 0o600}]}},
    {"secret": {"name": "s"}},
    {"secret": {"name": "gone", "optional": True}},
    {"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
)


def test_sources_become_files() -> None:
    found = {path: (content, mode) for path, content, mode in files(POD, source(*EVERY, mode=0o440), Sources())}
    assert found == {
        "token": (b"p vault 700 1", 0o440),
        "ca.crt": (b"CA", 0o440),
        "deep/er/k": (b"v", 0o600),
        "s": (b"t", 0o440),
        "ns": (b"shop", 0o440),
        "labels": (b'a="1"\nb="x\\"y"\n', 0o440),
    }


@pytest.mark.parametrize(
    ("wanted", "match"),
    [
        ({"configMap": {"name": "gone"}}, "ConfigMap gone does not exist"),
        ({"secret": {"name": "s", "items": [{"key": "x", "path": "x"}]}}, "Secret s has no key x"),
        ({"downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "spec.x"}}]}}, "not supported"),
    ],
)
def test_what_is_missing_is_named(wanted: object, match: str) -> None:
    with pytest.raises(MissingConfig, match=match):
        list(files(POD, source(wanted), Sources()))


def test_files_are_replaced_where_they_are(tmp_path: Path) -> None:
    root, sources, wanted = str(tmp_path / "v"), Sources(), source(*EVERY)
    write(root, files(POD, wanted, sources), os.getuid(), 0)
    descriptor = os.open(root, os.O_RDONLY)  # as a mount holds it
    try:
        write(root, files(POD, wanted, sources), os.getuid(), 0)
        assert sorted(os.listdir(descriptor)) == ["ca.crt", "deep", "labels", "ns", "s", "token"]
    finally:
        os.close(descriptor)
    assert (tmp_path / "v/token").read_text() == "p vault 700 2"
    assert stat.S_IMODE(os.stat(tmp_path / "v/deep/er/k").st_mode) == 0o600


def test_what_is_no_longer_there_goes(tmp_path: Path) -> None:
    root = str(tmp_path)
    write(root, [("a", b"1", 0o644), ("d/b", b"2", 0o644)], os.getuid(), 0)
    write(root, [("a", b"3", 0o644)], os.getuid(), 0)
    assert [(name, (tmp_path / name).read_bytes()) for name in os.listdir(root)] == [("a", b"3")]


def test_a_token_is_followed_before_it_ends(tmp_path: Path) -> None:
    root, wanted = str(tmp_path), source(EVERY[0])
    assert not stale(root, wanted, 1e12), "there is none yet"
    (tmp_path / "token").touch()
    os.utime(tmp_path / "token", (1000, 1000))
    assert not stale(root, wanted, 1000 + 559)
    assert stale(root, wanted, 1000 + 561)
    assert not stale(root, source(EVERY[1]), 1e12)
