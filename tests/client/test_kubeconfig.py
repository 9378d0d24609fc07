"""kubeconfig files: what is taken from them, what is refused; and both clients by https."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml

from orchestr.api.base import Key
from orchestr.api.core import ConfigMap, Namespace
from orchestr.api.errors import Unavailable
from orchestr.client import Client, NoDaemon
from orchestr.client.kubeconfig import BadConfig, load
from orchestr.client.paths import address
from orchestr.client.remote import RemoteCluster
from tests.server.secured import secured

CLUSTER = {"name": "c", "cluster": {"server": "https://127.0.0.1:6443"}}
CONTEXT = {"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}


def write(folder: Path, user: dict[str, Any], **more: Any) -> str:
    data = {
        "clusters": [CLUSTER],
        "contexts": [CONTEXT],
        "users": [{"name": "u", "user": user}],
        "current-context": "x",
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump({**data, **more}))
    return str(path)


def test_data_comes_before_files_which_stand_beside_it(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("KEY")
    data = b64encode(b"CERT").decode()
    user = {"client-certificate-data": data, "client-certificate": "gone.pem", "client-key": "key.pem"}
    place = load(write(tmp_path, user))
    assert place.namespace == "shop"
    assert place.address[:2] == ("127.0.0.1", 6443)
    assert place.address.tls is not None
    assert (place.address.tls.certificate, place.address.tls.key) == ("CERT", "KEY")


def test_a_token_is_read_at_each_use(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\n")
    tls = load(write(tmp_path, {"tokenFile": "token"})).address.tls
    assert tls is not None
    assert tls.headers() == {"authorization": "Bearer one"}
    (tmp_path / "token").write_text("two")
    assert tls.headers() == {"authorization": "Bearer two"}
    other = load(write(tmp_path, {"token": "three"})).address.tls
    assert other is not None
    assert other.headers() == {"authorization": "Bearer three"}


@pytest.mark.parametrize(
    ("user", "more", "match"),
    [
        ({"exec": {"command": "aws"}}, {}, "not supported"),
        ({"username": "joe", "password": "pw"}, {}, "not supported"),
        ({"client-key": "gone.pem"}, {}, r"gone\.pem: no such file"),
        ({"client-key-data": "%"}, {}, "cannot use"),
        ({}, {"current-context": ""}, "no current context"),
        ({}, {"current-context": "y"}, "no context called 'y'"),
        ({}, {"clusters": []}, "no cluster called 'c'"),
        ({}, {"clusters": [{"name": "c", "cluster": {"server": "ftp://x"}}]}, "cannot use host"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, user: dict[str, Any], more: dict[str, Any], match: str) -> None:
    with pytest.raises(BadConfig, match=match):
        load(write(tmp_path, user, **more))


@pytest.mark.parametrize("text", ["", "- a", "a: [", "\udcff"])
def test_files_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text, errors="surrogateescape")
    with pytest.raises(BadConfig, match=r"cannot use .*config"):
        load(str(tmp_path / "config"))
    with pytest.raises(BadConfig, match=r"cannot read .*: no such file"):
        load(str(tmp_path / "other"))


async def test_both_clients_by_https(tmp_path: Path) -> None:
    async with secured(str(tmp_path)) as server:
        _, made = await server.local.request("POST", "/orchestr.dev/v1/kubeconfig", {})
        (tmp_path / "config").write_text(yaml.safe_dump(made))
        place = load(str(tmp_path / "config"))
        client = Client(place.address)
        found = await trio.to_thread.run_sync(client.get, "/api/v1/namespaces/default")
        assert found["metadata"]["name"] == "default"
        client.close()
        async with RemoteCluster(place.address) as remote:
            stored = await remote.create(ConfigMap.model_validate({"metadata": {"name": "a", "namespace": "default"}}))
            assert await remote.get(ConfigMap, Key("default", "a")) == stored
            async with remote.watch(Namespace) as events:
                assert (await anext(events)).object is not None


async def test_a_server_that_is_another_is_not_believed(tmp_path: Path) -> None:
    async with secured(str(tmp_path)) as server:
        where = address(f"https://127.0.0.1:{server.port}")
        with pytest.raises(NoDaemon, match=r"TLS: .*certificate"):
            await trio.to_thread.run_sync(Client(where).get, "/version")
        async with RemoteCluster(where) as remote:
            with pytest.raises(Unavailable, match="certificate"):
                await remote.get(Namespace, Key("", "default"))
