"""Tokens of ServiceAccounts: made by TokenRequest, taken while account and pod are the same, else refused."""

import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.api.base import Key, ObjectMeta
from orchestr.api.core import Container, Pod, PodSpec, Secret
from orchestr.api.serviceaccount import ServiceAccount
from orchestr.server import bootstraproles, pki
from orchestr.server.auth import Unauthorized
from orchestr.server.tokens import ISSUER, Issuer
from tests.server.secured import Secured, secured

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Secured]:
    async with secured(str(tmp_path)) as server:
        await bootstraproles.ensure(server.cluster)
        for name in ("default", "web"):
            await server.cluster.create(ServiceAccount(metadata=ObjectMeta(name=name, namespace="default")))
        spec = PodSpec(containers=(Container(name="c", image="x"),), service_account_name="web")
        await server.cluster.create(Pod(metadata=ObjectMeta(name="p", namespace="default"), spec=spec))
        yield server


async def request(server: Secured, name: str = "web", **spec: Any) -> tuple[int, Any]:
    return await server.local.request("POST", f"{ACCOUNTS}/{name}/token", {"spec": spec})


async def token(server: Secured, **spec: Any) -> str:
    status, found = await request(server, **spec)
    assert status == 201, found
    made: str = found["status"]["token"]
    return made


async def who(server: Secured, given: str) -> tuple[int, Any]:
    status, found = await server.call("POST", WHO, {}, token=given)
    return status, found.get("status", {}) if status == 201 else found["reason"]


async def test_a_token_is_its_account(accounts: Secured) -> None:
    status, found = await who(accounts, await token(accounts))
    assert status == 201
    info = found["userInfo"]
    assert info["username"] == "system:serviceaccount:default:web"
    assert info["groups"] == ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]
    account = await accounts.cluster.get(ServiceAccount, Key("default", "web"))
    assert account is not None
    assert info["uid"] == account.metadata.uid


async def test_an_account_has_the_rights_of_its_bindings(accounts: Secured) -> None:
    given = await token(accounts)
    assert (await accounts.call("GET", "/api/v1/namespaces/default/pods", token=given))[0] == 403
    bound = {
        "metadata": {"name": "v"},
        "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "web"}],
    }
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings"
    assert (await accounts.local.request("POST", path, bound))[0] == 201
    assert (await accounts.call("GET", "/api/v1/namespaces/default/pods", token=given))[0] == 200


async def test_what_a_token_says(accounts: Secured) -> None:
    pod = await accounts.cluster.get(Pod, Key("default", "p"))
    assert pod is not None
    ref = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": pod.metadata.uid}
    status, found = await request(accounts, audiences=["vault"], expirationSeconds=700, boundObjectRef=ref)
    assert status == 201
    assert (found["spec"]["audiences"], found["spec"]["expirationSeconds"]) == (["vault"], 700)
    assert accounts.access.issuer is not None
    claims = accounts.access.issuer.claims(found["status"]["token"])
    assert (claims["aud"], claims["iss"], claims["exp"] - claims["iat"]) == (["vault"], ISSUER, 700)
    assert claims["kubernetes.io"]["pod"] == {"name": "p", "uid": pod.metadata.uid}


async def test_a_token_for_somebody_else_is_not_for_us(accounts: Secured) -> None:
    given = await token(accounts, audiences=["vault"])
    assert await who(accounts, given) == (401, "Unauthorized")
    review = "/apis/authentication.k8s.io/v1/tokenreviews"
    status, found = await accounts.local.request(
        "POST", review, {"spec": {"token": given, "audiences": ["x", "vault"]}}
    )
    assert (status, found["status"]["authenticated"], found["status"]["audiences"]) == (201, True, ["vault"])
    status, found = await accounts.local.request("POST", review, {"spec": {"token": given}})
    assert (status, found["status"]["authenticated"]) == (201, False)
    assert (await accounts.local.request("POST", review, {"spec": {}}))[0] == 400


async def test_a_token_ends_with_its_account_and_its_pod(accounts: Secured) -> None:
    ref = {"kind": "Pod", "apiVersion": "v1", "name": "p"}
    free, bound = await token(accounts), await token(accounts, boundObjectRef=ref)
    assert (await who(accounts, bound))[0] == 201
    await accounts.cluster.remove(Pod, Key("default", "p"), grace=0)
    assert (await who(accounts, bound))[0] == 401
    assert (await who(accounts, free))[0] == 201
    await accounts.cluster.remove(ServiceAccount, Key("default", "web"))
    assert (await who(accounts, free))[0] == 401
    await accounts.cluster.create(ServiceAccount(metadata=ObjectMeta(name="web", namespace="default")))
    assert (await who(accounts, free))[0] == 401, "another account of the same name"


async def test_a_token_of_a_secret(accounts: Secured) -> None:
    await accounts.cluster.create(Secret(metadata=ObjectMeta(name="s", namespace="default")))
    bound = await token(accounts, boundObjectRef={"kind": "Secret", "apiVersion": "v1", "name": "s"})
    assert (await who(accounts, bound))[0] == 201
    await accounts.cluster.remove(Secret, Key("default", "s"))
    assert (await who(accounts, bound))[0] == 401


@pytest.mark.parametrize(
    ("name", "spec", "code"),
    [
        ("gone", {}, 404),
        ("web", {"expirationSeconds": 599}, 422),
        ("web", {"expirationSeconds": 1 << 33}, 422),
        ("web", {"expirationSeconds": "x"}, 422),
        ("web", {"audience": ["x"]}, 422),
        ("web", {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "gone"}}, 404),
        ("web", {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "other"}}, 409),
        ("web", {"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "p"}}, 400),
        ("default", {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}}, 400),
    ],
)
async def test_requests_that_cannot_be(accounts: Secured, name: str, spec: dict[str, Any], code: int) -> None:
    status, found = await request(accounts, name, **spec)
    assert (status, found["kind"], found["code"]) == (code, "Status", code)


async def test_a_stranger_gets_no_token(accounts: Secured) -> None:
    jane = accounts.client("jane")
    status, found = await accounts.call("POST", f"{ACCOUNTS}/web/token", {}, client=jane)
    assert (status, 'cannot create resource "serviceaccounts/token"' in found["message"]) == (403, True)
    assert (await accounts.call("POST", f"{ACCOUNTS}/web/token", {}))[0] == 401


async def test_others_find_the_key(accounts: Secured) -> None:
    given = await token(accounts)
    for path in ("/.well-known/openid-configuration", "/openid/v1/jwks"):
        assert (await accounts.call("GET", path))[0] == 401
        assert (await accounts.call("GET", path, client=accounts.client("jane")))[0] == 403
        assert (await accounts.call("GET", path, token=given))[0] == 200
    _, found = await accounts.call("GET", "/.well-known/openid-configuration", token=given)
    assert (found["issuer"], found["jwks_uri"].endswith("/openid/v1/jwks")) == (ISSUER, True)


# pure parts

CLOCK = [1_000_000.0]


def issuer(key: pki.Key | None = None) -> Issuer:
    return Issuer(key or pki.new_key(), lambda: CLOCK[0], lambda: "id")


ACCOUNT = ServiceAccount(metadata=ObjectMeta(name="web", namespace="shop", uid="u"))
OURS = issuer()
TOKEN = OURS.issue(ACCOUNT, (), 3600)[0]


def encoded(data: Any) -> str:
    return urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()


def refused(given: str) -> bool:
    try:
        OURS.claims(given)
    except Unauthorized:
        return True
    return False


def test_time() -> None:
    assert OURS.claims(TOKEN)["sub"] == "system:serviceaccount:shop:web"
    for at, good in ((1_003_599.0, True), (1_003_600.0, False), (999_990.0, False)):
        CLOCK[0] = at
        assert refused(TOKEN) is not good
    CLOCK[0] = 1_000_000.0


def test_forgeries() -> None:
    head, payload, signature = TOKEN.split(".")
    claims = OURS.claims(TOKEN)
    other = issuer()
    root = encoded({**claims, "sub": "system:serviceaccount:kube-system:root"})
    none = encoded({"alg": "none", "kid": OURS.key_id})
    symmetric = encoded({"alg": "HS256", "kid": OURS.key_id})
    forged = [
        f"{head}.{root}.{signature}",
        f"{none}.{payload}.",
        f"{none}.{root}.{signature}",
        f"{symmetric}.{payload}.{signature}",
        f"{encoded({'alg': 'ES256', 'kid': 'x'})}.{payload}.{signature}",
        other.issue(ACCOUNT, (), 3600)[0],
        other.issue(ACCOUNT, (), 3600)[0].replace(other.key_id, OURS.key_id),
        OURS.sign({**claims, "iss": "https://elsewhere"}),
        OURS.sign({key: value for key, value in claims.items() if key != "exp"}),
        OURS.sign({**claims, "exp": "never"}),
        f"{TOKEN}=",
        f"{TOKEN}.x",
        f"{head}.{payload}",
        f"{encoded(7)}.{payload}.{signature}",
        f"{head}.{payload}.{'A' * 86}",
    ]
    assert [each for each in forged if not refused(each)] == []


@given(st.text(max_size=60), st.integers(0, len(TOKEN) - 1), st.characters())
def test_no_text_but_the_token_itself_is_taken(text: str, place: int, char: str) -> None:
    changed = TOKEN[:place] + char + TOKEN[place + 1 :]
    for given_text in (text, f"{text}.{text}.{text}", changed):
        assert given_text == TOKEN or refused(given_text)
