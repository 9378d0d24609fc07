"""Stack: children follow the compiled set, nothing is written twice, workloads stop in reverse order, claims stay."""

import pytest

from controllers import deployment, job, replicaset, stack, stackstatus
from orchestr.api.apps import Deployment
from orchestr.api.base import Key, ObjectMeta
from orchestr.api.batch import Job
from orchestr.api.core import ConfigMap, PersistentVolumeClaim, Pod, Service
from orchestr.api.stack import Dependency, Stack, StackSpec, VolumeClaim
from orchestr.api.stack import Service as ComposeService
from tests.controllers.owning import OwningCluster
from tests.controllers.world import World, world

CONTROLLERS = (stack, deployment, replicaset, job)
KEY = Key("shop", "shop")


def shop(**services: ComposeService) -> Stack:
    return Stack(metadata=ObjectMeta(name="shop", namespace="shop"), spec=StackSpec(services=services))


def service(*needs: str, restart: str = "always", **fields: object) -> ComposeService:
    return ComposeService.model_validate(
        {"image": "local/host", "restart": restart, "depends_on": {name: Dependency() for name in needs}, **fields}
    )


async def seen(it: World) -> Stack:
    found = await it.cluster.get(Stack, KEY)
    assert found is not None
    return found


async def names(it: World, kind: type) -> set[str]:
    return {obj.metadata.name for obj in await it.cluster.list(kind, namespace="shop")}


async def test_a_stack_becomes_workloads_and_services_and_says_so(autojump_clock: object) -> None:
    async with world(*CONTROLLERS, cluster=OwningCluster()) as it:
        await it.cluster.create(shop(web=service(), once=service(restart="no")))
        await it.settle()
        assert await names(it, Deployment) == {"web"}
        assert await names(it, Job) == {"once"}
        assert await names(it, Service) == {"web", "once"}
        status = (await seen(it)).status
        assert [(row.name, row.workload, row.ready, row.desired, row.phase) for row in status.services] == [
            ("web", "deployment/web", 1, 1, "Running"),
            ("once", "job/once", 1, 1, "Running"),
        ]
        assert {each.type: each.status for each in status.conditions} == {"Ready": "True", "Failed": "False"}


async def test_an_unchanged_stack_writes_nothing(autojump_clock: object) -> None:
    async with world(*CONTROLLERS, cluster=OwningCluster()) as it:
        created = await it.cluster.create(shop(web=service(), db=service()))
        await it.settle()
        before = len(it.cluster.writes)
        stack._memory.forget(created)  # as after a restart of the daemon
        labelled = {"metadata": {"labels": {"touched": "yes"}}}
        await it.cluster.patch(Stack, KEY, labelled)
        await it.settle()
        assert len(it.cluster.writes) == before + 1  # only the label


async def test_what_leaves_the_stack_goes_and_claims_stay(autojump_clock: object) -> None:
    mount = {"type": "volume", "source": "data", "target": "/data"}
    async with world(*CONTROLLERS, cluster=OwningCluster()) as it:
        spec = StackSpec(services={"web": service(), "db": service(volumes=[mount])}, volumes={"data": VolumeClaim()})
        await it.cluster.create(Stack(metadata=ObjectMeta(name="shop", namespace="shop"), spec=spec))
        await it.settle()
        assert await names(it, PersistentVolumeClaim) == {"data"}
        current = await seen(it)
        await it.cluster.update(current.but(spec=StackSpec(services={"web": service()})))
        await it.settle()
        assert await names(it, Deployment) == {"web"}
        assert await names(it, Service) == {"web"}
        claim = await it.cluster.get(PersistentVolumeClaim, Key("shop", "data"))
        assert claim is not None
        assert claim.metadata.owner_references == ()


async def test_a_child_changed_by_hand_is_put_right(autojump_clock: object) -> None:
    async with world(*CONTROLLERS, cluster=OwningCluster()) as it:
        await it.cluster.create(shop(web=service()))
        await it.settle()
        await it.cluster.patch(Deployment, Key("shop", "web"), {"spec": {"minReadySeconds": 3}})
        await it.settle()
        web = await it.cluster.get(Deployment, Key("shop", "web"))
        assert web is not None
        assert web.spec.min_ready_seconds == 0


async def test_the_stack_decides_how_many_pods_a_service_has(autojump_clock: object) -> None:
    async with world(*CONTROLLERS, cluster=OwningCluster()) as it:
        await it.cluster.create(shop(web=service()))
        await it.settle()
        await it.cluster.patch(Deployment, Key("shop", "web"), {"spec": {"replicas": 3}})
        await it.settle()
        assert [(row.ready, row.desired) for row in (await seen(it)).status.services] == [(1, 1)]
        await it.cluster.update((await seen(it)).but(spec=StackSpec(services={"web": service(deploy={"replicas": 2})})))
        await it.settle()
        assert [(row.ready, row.desired) for row in (await seen(it)).status.services] == [(2, 2)]


async def test_a_job_that_turns_into_a_deployment_is_replaced(autojump_clock: object) -> None:
    async with world(*CONTROLLERS, cluster=OwningCluster()) as it:
        await it.cluster.create(shop(web=service(restart="no")))
        await it.settle()
        await it.cluster.update((await seen(it)).but(spec=StackSpec(services={"web": service()})))
        await it.settle()
        assert await names(it, Job) == set()
        assert await names(it, Deployment) == {"web"}


async def test_a_job_with_another_template_is_run_anew(autojump_clock: object) -> None:
    async with world(*CONTROLLERS, cluster=OwningCluster()) as it:
        await it.cluster.create(shop(once=service(restart="no")))
        await it.settle()
        first = await it.cluster.get(Job, Key("shop", "once"))
        changed = service(restart="no", environment={"A": "b"})
        await it.cluster.update((await seen(it)).but(spec=StackSpec(services={"once": changed})))
        await it.settle()
        second = await it.cluster.get(Job, Key("shop", "once"))
        assert first is not None
        assert second is not None
        assert first.metadata.uid != second.metadata.uid


async def test_deletion_stops_dependants_first(autojump_clock: object) -> None:
    async with world(*CONTROLLERS, cluster=OwningCluster()) as it:
        await it.cluster.create(shop(web=service("api"), api=service("db"), db=service()))
        await it.settle()
        await it.cluster.delete(await seen(it))
        await it.settle()
        assert await it.cluster.get(Stack, KEY) is None
        gone = [ref for verb, ref in it.cluster.writes if verb == "delete" and ref.startswith("deployment/")]
        assert gone == ["deployment/web", "deployment/api", "deployment/db"]
        assert await names(it, Pod) == set()


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({"web": ["db"], "db": []}, {"web"}),
        ({"a": ["b"], "b": ["a"]}, {"a", "b"}),
        ({"web": [], "db": []}, {"web", "db"}),
    ],
)
def test_only_what_nobody_waits_for_is_stopped(needs: dict[str, list[str]], expected: set[str]) -> None:
    made = stack.children(shop(**{name: service(*targets) for name, targets in needs.items()}))
    workloads = [Deployment.model_validate(child.wire) for child in made if child.id[0] == "Deployment"]
    assert {obj.metadata.name for obj in stack.stoppable(workloads)} == expected


def test_the_difference_of_what_was_applied_is_empty() -> None:
    wanted = stack.children(shop(web=service()))
    kinds = {"Deployment": Deployment, "Service": Service, "ConfigMap": ConfigMap}
    owned = [kinds[child.id[0]].model_validate(child.wire) for child in wanted]
    applied = {child.id: stack.Applied(child.wire, stack.state(obj)) for child, obj in zip(wanted, owned, strict=True)}
    assert stack.difference(wanted, owned, [], applied) == stack.Difference()
    assert stack.difference(wanted, owned, [], {}).apply == wanted
    assert len(stack.difference(wanted[1:], owned, [], applied).delete) == 1


def test_a_service_without_its_workload_is_pending() -> None:
    row = stackstatus.service_status("web", "web", shop(web=service()), None, [Pod()])
    assert (row.phase, row.reason) == ("Pending", "NotCreated")
