from decimal import Decimal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from controllers import quota
from orchestr.api.base import Key, ObjectMeta
from orchestr.api.core import ResourceQuota
from orchestr.api.quantity import parse
from orchestr.store import LocalCluster
from tests.controllers.stored import config, controlled, until

NAMES = ("pods", "requests.memory", "cpu", "count/deployments.apps")


def limited(**hard: str) -> ResourceQuota:
    meta = {"name": "q", "namespace": "default"}
    return ResourceQuota.model_validate({"metadata": meta, "spec": {"hard": hard}})


async def test_on_our_own_store_there_is_nothing_to_correct(tmp_path: Path) -> None:
    async def before(cluster: LocalCluster) -> None:
        await cluster.create(config("a"))
        await cluster.create(limited(configmaps="3"))

    async with controlled(tmp_path, quota, before=before) as cluster:
        made = await cluster.create(config("b"))

        async def counted() -> bool:
            found = await cluster.get(ResourceQuota, Key("default", "q"))
            assert found is not None
            return found.status.used == {"configmaps": "2"}

        await until(cluster, ResourceQuota, counted)
        assert cluster.revision == int(made.metadata.resource_version or 0) + 1  # the charge, and no correction


def test_only_a_quota_that_is_not_counted_wakes_it() -> None:
    fresh = limited(pods="1")
    assert quota.uncounted(fresh, None) == (Key("", "default"),)  # type: ignore[arg-type]
    counted = fresh.but(status=quota.status(fresh, {}))
    assert quota.uncounted(counted, None) == ()  # type: ignore[arg-type]


@given(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 10**6).map(Decimal)))
def test_status_says_what_is_used_and_counting_again_changes_nothing(used: dict[str, Decimal]) -> None:
    fresh = ResourceQuota.model_validate(
        {"metadata": ObjectMeta(name="q", namespace="default"), "spec": {"hard": dict.fromkeys(NAMES, "5")}}
    )
    status = quota.status(fresh, used)
    assert {name: parse(value) for name, value in status.used.items()} == {n: used.get(n, Decimal(0)) for n in NAMES}
    assert quota.status(fresh.but(status=status), used) is status
