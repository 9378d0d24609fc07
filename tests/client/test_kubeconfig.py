"""kubeconfig files: what is taken from them, what is refused; and both clients by https."""

import json
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
from orchestr.client.execplugin import Plugin
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
        ({"exec": {"command": "aws"}}, {}, "exec.apiVersion .* not supported"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1"}}, {}, "names no command"),
        ({"as": "joe", "as-groups": ["a", "b"]}, {}, "not supported"),
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


ANSWER = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}


@pytest.mark.parametrize(
    ("printed", "match"),
    [
        ("no json", "printed no ExecCredential"),
        ("[]", "printed no ExecCredential"),
        (json.dumps({**ANSWER, "status": {}}), "neither a token nor a certificate"),
        (json.dumps({**ANSWER, "apiVersion": "x/v1", "status": {"token": "t"}}), "answered in 'x/v1'"),
        (json.dumps({**ANSWER, "status": {"token": "t", "expirationTimestamp": "soon"}}), "is no time"),
    ],
)
def test_programs_that_give_no_credentials(tmp_path: Path, printed: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        plugin(tmp_path, printed).credential()


def test_a_program_is_run_again_once_its_credential_has_expired(tmp_path: Path) -> None:
    for moment, runs in (("2999-01-01T00:00:00Z", 1), ("2001-01-01T00:00:00Z", 3)):
        held = plugin(tmp_path, json.dumps({**ANSWER, "status": {"token": "t", "expirationTimestamp": moment}}))
        assert [held.credential().token for _ in range(3)] == ["t"] * 3
        assert (tmp_path / "runs").read_text().count("x") == runs
        (tmp_path / "runs").unlink()


def plugin(folder: Path, printed: str) -> Plugin:
    (folder / "answer").write_text(printed)
    words = ["-c", f"echo x >> {folder}/runs; cat {folder}/answer"]
    return Plugin({"apiVersion": ANSWER["apiVersion"], "command": "sh", "args": words}, {}, str(folder))


def test_a_program_that_is_not_there_names_what_to_install(tmp_path: Path) -> None:
    spec = {"apiVersion": ANSWER["apiVersion"], "command": "no-such-thing", "installHint": "install it"}
    with pytest.raises(ValueError, match=r"cannot run no-such-thing: .*install it"):
        Plugin(spec, {}, str(tmp_path)).credential()


def test_the_first_of_several_files_wins(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "token").write_text("two")
    first = write(tmp_path, {"token": "one"}, contexts=[])
    second = write(tmp_path / "two", {"tokenFile": "token"})
    tls = load([first, second], "x").address.tls
    assert tls is not None
    assert tls.headers() == {"authorization": "Bearer one"}
