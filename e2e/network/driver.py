"""A data plane in a process of its own, inside a network namespace of its own, driven by lines of JSON.

The namespace stands for the machine, and RUN/etc-resolv.conf for its resolv.conf, so the real one is never touched; the
process can be killed like a daemon.
    python driver.py NETNS RUN NAME POD-CIDR SERVICE-CIDR   <- {"op": ..., ...}  -> {"result": ...} or {"error": ...}
"""

import ctypes
import json
import os
import sys
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import trio
import trio.testing

from orchestr.agent.policies import policy
from orchestr.api.defaults import default
from orchestr.api.networkpolicy import NetworkPolicy
from orchestr.instance import instance
from orchestr.network.dataplane import LinuxDataplane
from orchestr.network.seam import (
    Backend,
    Link,
    NetworkFailure,
    NetworkState,
    Policy,
    Publish,
    ServiceNet,
    ServicePort,
)

CLONE_NEWNET, CLONE_NEWNS = 0x40000000, 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000


def link(raw: dict[str, Any]) -> Link:
    addresses = {"ipv4": IPv4Address(raw["ipv4"]), "ipv6": IPv6Address(raw["ipv6"])}
    sets = {"segments": frozenset(raw["segments"]), "labels": pairs(raw["labels"]), "ports": pairs(raw["ports"])}
    return Link(**{**raw, **addresses, **sets})


def pairs(raw: list[list[Any]]) -> tuple[Any, ...]:
    return tuple(map(tuple, raw))


def policies(raw: list[dict[str, Any]], spaces: dict[str, dict[str, str]]) -> tuple[Policy, ...]:
    """NetworkPolicies as a user writes them."""
    found = (default(NetworkPolicy.model_validate(each)) for each in raw)
    return tuple(policy(each, spaces) for each in found)


def service(raw: dict[str, Any]) -> ServiceNet:
    ports = tuple(
        ServicePort(
            port["name"],
            port["protocol"],
            port["port"],
            tuple(Backend(IPv4Address(a), IPv6Address(b), number) for a, b, number in port["backends"]),
            tuple(Publish(address, number) for address, number in port["publish"]),
        )
        for port in raw["ports"]
    )
    pods = tuple((name, IPv4Address(a), IPv6Address(b)) for name, a, b in raw["pods"])
    ipv4, ipv6 = raw["ipv4"], raw["ipv6"]
    return ServiceNet(
        raw["namespace"],
        raw["name"],
        IPv4Address(ipv4) if ipv4 else None,
        IPv6Address(ipv6) if ipv6 else None,
        ports,
        pods,
        tuple(raw["aliases"]),
        raw["sticky"],
        raw["any_port"],
    )


async def carry_out(dataplane: LinuxDataplane, request: dict[str, Any], lost: "trio.MemoryReceiveChannel[str]") -> Any:
    match request["op"]:
        case "attach":
            fd = os.open(request["netns"], os.O_RDONLY)
            try:
                await dataplane.attach(link(request["link"]), fd)
            finally:
                os.close(fd)
        case "detach":
            await dataplane.detach(request["pod"])
        case "apply":
            links, services = map(link, request["links"]), map(service, request["services"])
            ruling = policies(request["policies"], request["spaces"])
            refused = await dataplane.apply(NetworkState(tuple(links), tuple(services), ruling))
            return {"/".join(map(str, key)): error.holder for key, error in refused.items()}
        case "lost":
            return await lost.receive()
        case "connections":
            return await dataplane.connections(IPv4Address(request["address"]))
        case "resolver":
            return dataplane.resolver
        case "stop":
            await dataplane.stop()
    return None


async def serve(run: str, name: str, pods: str, services: str) -> None:
    dataplane = LinuxDataplane(instance(name, run=run, state=run, pod_cidr=pods, service_cidr=services))
    await dataplane.start()
    sender, lost = trio.open_memory_channel[str](100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, dataplane, sender)
        await trio.testing.wait_all_tasks_blocked()  # it listens
        print(json.dumps({"result": "started"}), flush=True)
        async for line in trio.wrap_file(sys.stdin):
            try:
                answer = {"result": await carry_out(dataplane, json.loads(line), lost)}
            except NetworkFailure as error:
                answer = {"error": str(error)}
            print(json.dumps(answer), flush=True)
        nursery.cancel_scope.cancel()


async def watch(dataplane: LinuxDataplane, sender: "trio.MemorySendChannel[str]") -> None:
    async for pod in dataplane.lost():
        await sender.send(pod)


def own_resolv_conf(path: str) -> None:
    """The file stands for /etc/resolv.conf, in a mount namespace of our own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if (
        libc.unshare(CLONE_NEWNS)
        or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)
        or libc.mount(path.encode(), b"/etc/resolv.conf", None, MS_BIND, None)
    ):
        raise OSError(ctypes.get_errno(), "mount")


if __name__ == "__main__":
    descriptor = os.open(sys.argv[1], os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    own_resolv_conf(os.path.join(sys.argv[2], "etc-resolv.conf"))
    trio.run(serve, *sys.argv[2:])
