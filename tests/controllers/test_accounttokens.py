"""The daemon's own controllers: the authority in every namespace, and Secrets that are filled with tokens."""

import time
import uuid
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import trio

from orchestr.api.base import Key, KubeObject, ObjectMeta
from orchestr.api.core import ConfigMap, Namespace, Secret
from orchestr.api.serviceaccount import ServiceAccount
from orchestr.daemon.accounttokens import AccountTokens
from orchestr.daemon.rootca import RootCa, renewed
from orchestr.engine.manager import Manager
from orchestr.server import pki
from orchestr.server.authorize import Published
from orchestr.server.tls import Tls
from orchestr.server.tokens import Issuer, user_of
from orchestr.store import LocalCluster
from tests.contract.clusters import local
from tests.controllers.stored import space, until

ROOT = "kube-root-ca.crt"


class World:
    def __init__(self, cluster: LocalCluster, tls: Tls, issuer: Issuer) -> None:
        self.cluster, self.tls, self.issuer = cluster, tls, issuer

    async def comes(self, kind: type[KubeObject], check: object) -> None:
        async def there() -> bool:
            return bool(await check())  # type: ignore[operator]

        await until(self.cluster, kind, there)

    async def authority(self, namespace: str) -> str | None:
        found = await self.cluster.get(ConfigMap, Key(namespace, ROOT))
        return found.data.get("ca.crt") if found else None

    async def secret(self, name: str) -> Secret | None:
        return await self.cluster.get(Secret, Key("default", name))


@asynccontextmanager
async def world(path: Path) -> AsyncIterator[World]:
    tls = Tls(pki.Directory(str(path / "pki")), ("localhost",), partial(datetime.now, UTC))
    issuer = Issuer(tls.directory.signing_key(), time.time, lambda: str(uuid.uuid4()))
    async with local(path) as cluster, trio.open_nursery() as nursery:
        manager = Manager(cluster, {"rootca": RootCa(tls), "accounttokens": AccountTokens(issuer, tls)}, detect=True)
        await nursery.start(manager.run)
        yield World(cluster, tls, issuer)
        manager.verify()
        nursery.cancel_scope.cancel()


async def test_every_namespace_has_the_authority(tmp_path: Path) -> None:
    async with world(tmp_path) as found:
        ca = found.tls.ca_pem.decode()
        await space(found.cluster, "shop")
        for namespace in ("default", "kube-system", "shop"):

            async def there(namespace: str = namespace) -> bool:
                return await found.authority(namespace) == ca

            await found.comes(ConfigMap, there)


async def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    async with world(tmp_path) as found:
        ca = found.tls.ca_pem.decode()

        async def right() -> bool:
            return await found.authority("default") == ca

        await found.comes(ConfigMap, right)
        there = await found.cluster.get(ConfigMap, Key("default", ROOT))
        assert there is not None
        await found.cluster.update(there.but(data={"ca.crt": "mine", "more": "x"}))
        await found.comes(ConfigMap, right)
        await found.cluster.delete(there.but(metadata=there.metadata.but(uid=None)))
        await found.comes(ConfigMap, right)


async def test_a_new_authority_goes_everywhere(tmp_path: Path) -> None:
    async with world(tmp_path) as found:
        before = found.tls.ca_pem.decode()

        async def old() -> bool:
            return await found.authority("default") == before == await found.authority("kube-system")

        await found.comes(ConfigMap, old)
        found.tls.ca = pki.authority(datetime.now(UTC), found.tls.ca.key)
        await renewed(found.cluster, found.tls)

        async def new() -> bool:
            return await found.authority("default") == found.tls.ca_pem.decode() != before

        await found.comes(ConfigMap, new)


def token(name: str, account: str) -> Secret:
    notes = {"kubernetes.io/service-account.name": account}
    meta = ObjectMeta(name=name, namespace="default", annotations=notes)
    return Secret(metadata=meta, type="kubernetes.io/service-account-token")


async def test_a_secret_is_filled_with_a_token_that_ends_with_it(tmp_path: Path) -> None:
    async with world(tmp_path) as found:
        account = ServiceAccount(metadata=ObjectMeta(name="robot", namespace="default"))
        account = await found.cluster.create(account)
        await found.cluster.create(token("t", "robot"))

        async def filled() -> bool:
            secret = await found.secret("t")
            return secret is not None and "token" in secret.data

        await found.comes(Secret, filled)
        secret = await found.secret("t")
        assert secret is not None
        assert secret.metadata.annotations["kubernetes.io/service-account.uid"] == account.metadata.uid
        assert b64decode(secret.data["namespace"]) == b"default"
        assert b64decode(secret.data["ca.crt"]) == found.tls.ca_pem
        claims = found.issuer.claims(b64decode(secret.data["token"]).decode())
        assert user_of(claims, Published(found.cluster)).name == "system:serviceaccount:default:robot"
        await found.cluster.delete(account)

        async def gone() -> bool:
            return await found.secret("t") is None

        await found.comes(Secret, gone)


async def test_a_secret_for_nobody_goes(tmp_path: Path) -> None:
    async with world(tmp_path) as found:
        await found.cluster.create(token("t", "nobody"))

        async def gone() -> bool:
            return await found.secret("t") is None

        await found.comes(Secret, gone)


async def test_a_namespace_that_ends_gets_nothing_more(tmp_path: Path) -> None:
    async with world(tmp_path) as found:
        made = await space(found.cluster, "shop")

        async def there() -> bool:
            return await found.authority("shop") is not None

        await found.comes(ConfigMap, there)
        await found.cluster.delete(made)
        config = await found.cluster.get(ConfigMap, Key("shop", ROOT))
        assert config is not None
        await found.cluster.delete(config)
        await space(found.cluster, "other")

        async def later() -> bool:
            return await found.authority("other") is not None

        await found.comes(ConfigMap, later)
        assert await found.authority("shop") is None
        assert await found.cluster.get(Namespace, Key("", "shop")) is not None
