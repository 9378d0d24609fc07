"""Custom resources in the hands of the controllers that look at all kinds, on a real store."""

from pathlib import Path

import trio

from controllers import definition, garbage, namespace
from orchestr.api import scheme
from orchestr.api.base import Key
from orchestr.api.core import ConfigMap, Namespace
from orchestr.api.definition import CustomResourceDefinition
from orchestr.engine.manager import Manager
from orchestr.store import LocalCluster
from tests.contract.clusters import local
from tests.server.widgets import NAME, widget
from tests.server.widgets import definition as wire

CONTROLLERS = {"definition": definition, "garbage": garbage, "namespace": namespace}


async def defined(cluster: LocalCluster) -> CustomResourceDefinition:
    made = await cluster.create(scheme.decode(wire()))
    assert isinstance(made, CustomResourceDefinition)
    return made


async def until_gone(cluster: LocalCluster, kind: type, key: Key) -> None:
    with trio.fail_after(10):
        since = cluster.revision
        async with cluster.watch(kind, since=since) as events:
            if await cluster.get(kind, key) is None:
                return
            async for _ in events:
                if await cluster.get(kind, key) is None:
                    return


async def test_a_definition_takes_its_objects_along(tmp_path: Path) -> None:
    async with local(tmp_path) as cluster, trio.open_nursery() as nursery:
        await nursery.start(Manager(cluster, CONTROLLERS).run)  # type: ignore[arg-type]
        crd = await defined(cluster)
        made = await cluster.create(scheme.decode(widget()))
        await cluster.delete(crd)
        await until_gone(cluster, CustomResourceDefinition, Key("", NAME))
        assert await cluster.get(type(made), made.key) is None
        assert scheme.by_plural("example.org", "v1", "widgets") is None
        again = await defined(cluster)
        assert again.status.has("Established")
        nursery.cancel_scope.cancel()


async def test_what_a_custom_resource_owns_goes_after_it(tmp_path: Path) -> None:
    async with local(tmp_path) as cluster, trio.open_nursery() as nursery:
        await nursery.start(Manager(cluster, CONTROLLERS).run)  # type: ignore[arg-type]
        await defined(cluster)
        owner = await cluster.create(scheme.decode(widget()))
        data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}}
        child = scheme.decode(data)
        child = await cluster.create(
            child.but(metadata=child.metadata.but(owner_references=(owner.owner_reference(),)))
        )
        grand = scheme.decode(widget("b"))
        grand = await cluster.create(
            grand.but(metadata=grand.metadata.but(owner_references=(child.owner_reference(),)))
        )
        await cluster.delete(owner)
        await until_gone(cluster, ConfigMap, child.key)
        await until_gone(cluster, type(grand), grand.key)
        nursery.cancel_scope.cancel()


async def test_a_namespace_takes_custom_resources_along(tmp_path: Path) -> None:
    async with local(tmp_path) as cluster, trio.open_nursery() as nursery:
        await nursery.start(Manager(cluster, CONTROLLERS).run)  # type: ignore[arg-type]
        await defined(cluster)
        space = await cluster.create(Namespace.model_validate({"metadata": {"name": "shop"}}))
        inside = scheme.decode(widget())
        inside = await cluster.create(inside.but(metadata=inside.metadata.but(namespace="shop")))
        await cluster.delete(space)
        await until_gone(cluster, Namespace, Key("", "shop"))
        assert await cluster.get(type(inside), inside.key) is None
        nursery.cancel_scope.cancel()
