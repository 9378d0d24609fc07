"""The account and the token's volume that a new pod gets."""

import random
from typing import Any

import pytest

from orchestr.api.base import ObjectMeta
from orchestr.api.container import (
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    SecretEnvSource,
    SecretKeySelector,
)
from orchestr.api.core import Container, Pod, PodSpec, VolumeMount
from orchestr.api.errors import Forbidden
from orchestr.api.meta import LocalObjectReference, ObjectReference
from orchestr.api.serviceaccount import ServiceAccount
from orchestr.api.volume import SecretVolumeSource, Volume
from orchestr.store.accounts import PLACE, admit
from orchestr.store.request import Request


class Site:
    chance = random.Random(1)


class Row:
    def __init__(self, obj: Any) -> None:
        self.object = obj


class Tx:
    def __init__(self, *accounts: ServiceAccount) -> None:
        self.accounts = {account.key: account for account in accounts}

    def get(self, _kind: Any, key: Any) -> Row | None:
        return Row(self.accounts[key]) if key in self.accounts else None


def account(name: str = "default", automount: bool | None = None) -> ServiceAccount:
    metadata = ObjectMeta(name=name, namespace="default")
    return ServiceAccount(metadata=metadata, automount_service_account_token=automount)


def admitted(*accounts: ServiceAccount, labels: dict[str, str] | None = None, **spec: Any) -> PodSpec:
    containers = spec.pop("containers", (Container(name="a"), Container(name="b")))
    pod = Pod(
        metadata=ObjectMeta(name="p", namespace="default", labels=labels or {}),
        spec=PodSpec(containers=containers, init_containers=(Container(name="i"),), **spec),
    )
    tx: Any = Tx(*accounts)
    site: Any = Site()
    return admit(Request(tx, site, pod, None), pod).spec


def mounted(spec: PodSpec) -> list[str]:
    every = (*spec.init_containers, *spec.containers)
    return [each.name for each in every if any(mount.mount_path == PLACE for mount in each.volume_mounts)]


@pytest.mark.parametrize("accounts", [(), (account(),)])
def test_every_container_finds_a_token(accounts: tuple[ServiceAccount, ...]) -> None:
    spec = admitted(*accounts)
    assert (spec.service_account_name, spec.service_account) == ("default", "default")
    assert mounted(spec) == ["i", "a", "b"]
    assert [volume.name.startswith("kube-api-access-") for volume in spec.volumes] == [True]
    assert {mount.read_only for each in spec.containers for mount in each.volume_mounts} == {True}


@pytest.mark.parametrize(
    ("own", "its", "labels", "expected"),
    [
        (False, None, {}, False),
        (None, False, {}, False),
        (True, False, {}, True),
        (None, None, {"orchestr.dev/stack": "shop"}, False),
        (True, None, {"orchestr.dev/stack": "shop"}, True),
    ],
)
def test_who_wants_no_token_gets_none(own: bool | None, its: bool | None, labels: Any, expected: bool) -> None:
    spec = admitted(account(automount=its), labels=labels, automount_service_account_token=own)
    assert bool(mounted(spec)) is expected
    assert bool(spec.volumes) is expected


def test_what_stands_at_the_place_is_left() -> None:
    own = Container(name="a", volume_mounts=(VolumeMount(name="mine", mount_path=PLACE),))
    spec = admitted(account(), containers=(own, Container(name="b")))
    assert spec.containers[0] == own
    assert mounted(spec) == ["i", "a", "b"]


def test_an_unknown_account_is_refused() -> None:
    assert admitted(account("web"), service_account="web").service_account_name == "web"
    with pytest.raises(
        Forbidden, match='error looking up service account default/gone: serviceaccount "gone" not found'
    ):
        admitted(account(), service_account_name="gone")


def test_the_accounts_pull_secrets_are_the_pods() -> None:
    robot = account("robot").but(image_pull_secrets=(LocalObjectReference(name="registry"),))
    assert admitted(robot, service_account_name="robot").image_pull_secrets == [{"name": "registry"}]
    own = admitted(robot, service_account_name="robot", image_pull_secrets=[{"name": "mine"}])
    assert own.image_pull_secrets == [{"name": "mine"}]


USES: list[dict[str, Any]] = [
    {"volumes": (Volume(name="v", secret=SecretVolumeSource(secret_name="s")),)},
    {
        "containers": (
            Container(
                name="a",
                env=(EnvVar(name="A", value_from=EnvVarSource(secret_key_ref=SecretKeySelector(name="s", key="k"))),),
            ),
        )
    },
    {"containers": (Container(name="a", env_from=(EnvFromSource(secret_ref=SecretEnvSource(name="s")),)),)},
    {"image_pull_secrets": [{"name": "s"}]},
]


@pytest.mark.parametrize("spec", USES)
def test_an_account_may_allow_its_own_secrets_only(spec: dict[str, Any]) -> None:
    strict = account("robot")
    notes = {"kubernetes.io/enforce-mountable-secrets": "true"}
    strict = strict.but(metadata=strict.metadata.but(annotations=notes))
    with pytest.raises(Forbidden, match="is not allowed because service account robot does not reference that"):
        admitted(strict, service_account_name="robot", **spec)
    names = {"secrets": (ObjectReference(name="s"),), "image_pull_secrets": (LocalObjectReference(name="s"),)}
    assert admitted(strict.but(**names), service_account_name="robot", **spec)
    assert admitted(account("robot"), service_account_name="robot", **spec)
