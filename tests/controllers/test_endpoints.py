from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from controllers import endpoints as controller
from controllers import replicaset
from controllers.endpoints import Difference, difference, target_port
from orchestr.api.base import ObjectMeta
from orchestr.api.container import ContainerPort
from orchestr.api.discovery import Endpoint, EndpointSlice
from orchestr.api.pod import Pod, PodIP
from orchestr.api.service import Service, ServicePort, ServiceSpec
from tests.controllers.strategies import pod_lists
from tests.controllers.world import World, replica_set, template, world
from tests.engine.fake import eventually


def service(name: str = "web", target: Any = "http", **spec: Any) -> Service:
    return Service(
        metadata=ObjectMeta(name=name, namespace="ns", uid=f"uid-{name}"),
        spec=ServiceSpec(
            selector={"app": name}, ports=(ServicePort(name="http", port=80, target_port=target),), **spec
        ),
    )


def endpoints(w: World, family: str = "IPv4") -> list[Endpoint]:
    return [each for s in w.cluster.of(EndpointSlice) if s.address_type == family for each in s.endpoints]


def ready(w: World, family: str = "IPv4") -> int:
    return sum(bool(each.conditions.ready) for each in endpoints(w, family))


async def test_slices_follow_the_pods(autojump_clock: MockClock) -> None:
    async with world(controller, replicaset) as w:
        await w.cluster.create(service())
        await w.settle()
        assert endpoints(w) == []
        await w.cluster.create(replica_set("web", 3))
        await w.settle()
        assert (ready(w), ready(w, "IPv6"), len(w.cluster.of(EndpointSlice))) == (3, 3, 2)
        first = w.cluster.of(EndpointSlice)[0]
        assert [(port.name, port.port) for port in first.ports] == [("http", 8080)]
        assert first.endpoints[0].target_ref.name in {pod.metadata.name for pod in w.cluster.of(Pod)}
        before = len(w.cluster.writes)
        await w.cluster.patch(Pod, w.cluster.of(Pod)[0].key, {"metadata": {"annotations": {"x": "y"}}})
        await w.settle()
        assert len(w.cluster.writes) == before + 1  # what does not change the slices writes none


async def test_a_pod_being_deleted_leaves_ready_at_once_and_still_serves(autojump_clock: MockClock) -> None:
    async with world(controller, replicaset) as w:
        w.kubelet.grace = 30
        await w.cluster.create(service())
        await w.cluster.create(replica_set("web", 2))
        await eventually(lambda: ready(w) == 2)
        victim = w.cluster.of(Pod)[0]
        await w.cluster.delete(victim)
        await eventually(lambda: any(each.conditions.terminating for each in endpoints(w)), within=0.1)
        leaving = next(each for each in endpoints(w) if each.conditions.terminating)
        assert (leaving.conditions.ready, leaving.conditions.serving) == (False, True)
        assert leaving.target_ref
        assert leaving.target_ref.name == victim.metadata.name
        await w.settle()
        assert ready(w) == len(endpoints(w)) == 2


async def test_the_last_pod_empties_the_slice_in_place(autojump_clock: MockClock) -> None:
    async with world(controller, replicaset) as w:
        await w.cluster.create(service())
        rs = await w.cluster.create(replica_set("web", 1))
        await w.settle()
        names = {each.metadata.name for each in w.cluster.of(EndpointSlice)}
        await w.cluster.patch(type(rs), rs.key, {"spec": {"replicas": 0}})
        await w.settle()
        assert endpoints(w) == []
        assert {each.metadata.name for each in w.cluster.of(EndpointSlice)} == names


async def test_a_service_without_a_selector_is_left_alone(autojump_clock: MockClock) -> None:
    async with world(controller, replicaset) as w:
        own = service().but(spec=ServiceSpec(ports=(ServicePort(port=80),)))
        await w.cluster.create(own)
        await w.cluster.create(replica_set("web", 1))
        await w.settle()
        assert w.cluster.of(EndpointSlice) == []


async def test_a_pod_that_starts_to_match_joins_and_one_that_stops_leaves(autojump_clock: MockClock) -> None:
    async with world(controller, replicaset) as w:
        await w.cluster.create(service())
        await w.cluster.create(replica_set("other", 1))
        await w.settle()
        key = w.cluster.of(Pod)[0].key
        await w.cluster.patch(Pod, key, {"metadata": {"labels": {"app": "web"}}})
        await eventually(lambda: ready(w) == 1)
        await w.cluster.patch(Pod, key, {"metadata": {"labels": {"app": "none"}}})
        await eventually(lambda: ready(w) == 0)


def addresses(number: int) -> tuple[PodIP, ...]:
    return PodIP(ip=f"10.0.0.{number}"), PodIP(ip=f"fd00::{number:x}")


addressed = pod_lists(labels={"app": "web"}).map(
    lambda pods: [
        pod.but(spec=template("web").spec, status=pod.status.but(pod_ips=addresses(n))) for n, pod in enumerate(pods)
    ]
)


@given(addressed, addressed, st.booleans())
def test_after_one_step_nothing_is_left_to_write(pods: list[Pod], before: list[Pod], publish: bool) -> None:
    web = service(publish_not_ready_addresses=publish)
    old = difference(web, before, []).create
    todo = difference(web, pods, old)
    gone = {each.metadata.name for each in (*todo.delete, *todo.update)}
    after = [each for each in old if each.metadata.name not in gone] + [*todo.update, *todo.create]
    again = difference(web, pods, after)
    assert again == Difference(create=(), update=(), delete=())
    listed = [each for s in after if s.address_type == "IPv4" for each in s.endpoints]
    assert len(listed) == sum(not pod.finished for pod in pods)
    deleting = {pod.metadata.name for pod in pods if pod.metadata.deleting}
    for each in listed:
        assert each.target_ref
        assert publish or not (each.conditions.ready and each.target_ref.name in deleting)


def test_named_ports_are_resolved_per_pod() -> None:
    pod = Pod(spec=template("web").spec)
    other = pod.but(
        spec=pod.spec.but(
            containers=(pod.spec.containers[0].but(ports=(ContainerPort(name="http", container_port=9090),)),)
        ),
        metadata=ObjectMeta(name="b"),
        status=pod.status.but(pod_ips=(PodIP(ip="10.0.0.2"),)),
    )
    pod = pod.but(metadata=ObjectMeta(name="a"), status=pod.status.but(pod_ips=(PodIP(ip="10.0.0.1"),)))
    port = service().spec.ports[0]
    assert (target_port(port, pod), target_port(port, other)) == (8080, 9090)
    assert target_port(port.but(target_port="nope"), pod) is None
    slices = difference(service(), [pod, other], []).create
    assert [each.ports[0].port for each in slices] == [8080, 9090]
