"""A pod that waited for another starts when services lead there, not only when the other is ready."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
import trio

from orchestr.agent.services import PATIENCE, Services
from orchestr.api.core import Pod, Service
from orchestr.api.discovery import EndpointSlice
from orchestr.network.seam import NetworkState, PortTaken

POD = Pod.model_validate(
    {
        "metadata": {"name": "db-1", "namespace": "ns", "labels": {"app": "db"}},
        "status": {"podIP": "10.1.0.2", "podIPs": [{"ip": "10.1.0.2"}, {"ip": "fd01::2"}]},
    }
)


def service(**port: Any) -> Service:
    ports = [{"port": 80, "protocol": "TCP", **port}]
    return Service.model_validate(
        {"metadata": {"name": "db", "namespace": "ns"}, "spec": {"selector": {"app": "db"}, "ports": ports}}
    )


def endpoints() -> list[EndpointSlice]:
    return [
        EndpointSlice.model_validate(
            {
                "metadata": {"name": family, "namespace": "ns", "labels": {"kubernetes.io/service-name": "db"}},
                "addressType": family,
                "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
                "endpoints": [{"addresses": [address], "targetRef": {"kind": "Pod", "name": "db-1"}}],
            }
        )
        for family, address in (("IPv4", "10.1.0.2"), ("IPv6", "fd01::2"))
    ]


class World:
    """Informers and dataplane in one."""

    def __init__(self, found: Service) -> None:
        self.objects: dict[type, list[Any]] = {Service: [found], EndpointSlice: []}
        self.synced = trio.Event()
        self.synced.set()
        self.applied: list[NetworkState] = []
        self.services = Services(cast(Any, None), cast(Any, self), cast(Any, self), list, cast(Any, None), lambda: 0.0)

    def add(self, _kind: type) -> "World":
        return self

    def add_handler(self, handler: Callable[..., None]) -> None: ...

    def all(self, kind: type, *, namespace: str | None = None) -> Sequence[Any]:
        return self.objects.get(kind, [])

    async def apply(self, state: NetworkState) -> dict[Any, PortTaken]:
        self.applied.append(state)
        return {}


async def waited(world: World, nursery: trio.Nursery) -> float:
    """How long `in_service` took, with the services' loop running."""
    nursery.start_soon(world.services.run)
    began = trio.current_time()
    await world.services.in_service([POD])
    return trio.current_time() - began


async def test_waits_until_the_backend_is_applied(autojump_clock: trio.testing.MockClock) -> None:
    world = World(service())
    async with trio.open_nursery() as nursery:

        async def arrive() -> None:
            await trio.sleep(1)
            world.objects[EndpointSlice] = endpoints()
            world.services.poke()

        nursery.start_soon(arrive)
        assert 1 <= await waited(world, nursery) < 1.1
        assert world.applied[-1].services[0].ports[0].backends
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("found", "seconds"), [(service(), PATIENCE), (service(targetPort="http"), 0.0)])
async def test_never_longer_than_patience(
    found: Service, seconds: float, autojump_clock: trio.testing.MockClock
) -> None:
    """And not at all where the pod may never get there."""
    async with trio.open_nursery() as nursery:
        assert await waited(World(found), nursery) == pytest.approx(seconds, abs=0.1)
        nursery.cancel_scope.cancel()
