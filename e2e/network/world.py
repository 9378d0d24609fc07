"""A machine and its pods, as network namespaces, and what to do in them."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Self

from orchestr.instance import instance
from orchestr.network.addresses import networks
from orchestr.network.seam import Backend, Link, Publish, ServiceNet, ServicePort

CLONE_NEWNET = 0x40000000
HERE = Path(__file__).parent
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network namespace that lives as long as its descriptor."""

    def __init__(self) -> None:
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            assert _libc.unshare(CLONE_NEWNET) == 0, "needs root"
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        finally:
            assert _libc.setns(home, CLONE_NEWNET) == 0
            os.close(home)
        self.children: list[subprocess.Popen[str]] = []

    @property
    def path(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def start(self, *command: str, **options: Any) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            [sys.executable, str(HERE / "inside.py"), self.path, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        self.children.append(child)
        return child

    def run(self, *command: str) -> str:
        out, error = self.start(*command).communicate(timeout=30)
        assert not error, error
        return out.strip()

    def serve(self, kind: str, port: int, name: str) -> "subprocess.Popen[str]":
        """A server that answers with `name`; returns when it listens."""
        child = self.start(kind, str(port), name)
        assert child.stdout
        assert child.stderr
        assert child.stdout.readline() == "ready\n", child.stderr.read()
        return child

    def ask(self, address: IPv4Address | IPv6Address | str, port: int = 80, kind: str = "ask") -> str:
        """What a server at this address says, or the error's name: "ConnectionRefusedError"."""
        return self.run(kind, str(address), str(port))

    def close(self) -> None:
        for child in self.children:
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                with contextlib.suppress(BrokenPipeError):  # unsent questions to a server that is gone
                    if stream:
                        stream.close()
        os.close(self.fd)


@dataclass
class Pod:
    link: Link
    space: Namespace = field(default_factory=Namespace)

    @property
    def backend(self) -> tuple[Backend, ...]:
        return (Backend(self.link.ipv4, self.link.ipv6, 8080),)


class Machine:
    def __init__(self, run: Path, name: str) -> None:
        self.space = Namespace()
        self.space.run("up")
        self.space.run("setting", "net/ipv4/ip_forward", "0")  # a new namespace inherits the real machine's
        self.name, self.run = name, run
        self.instance = instance(name, pod_cidr="10.70.0.0/16", service_cidr="10.71.0.0/16")
        self.networks = networks(self.instance)
        self.pods: list[Pod] = []
        self.services: list[ServiceNet] = []  # for tests that apply the same ones again
        self.policies: list[dict[str, Any]] = []  # NetworkPolicies, as a user writes them
        self.spaces = {name: {"kubernetes.io/metadata.name": name} for name in ("shop", "other", "kube-system")}
        self.upstreams()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.driver.poll() is None:
            self.do("stop")
        for space in (self.space, *(pod.space for pod in self.pods)):
            space.close()

    def start(self) -> None:
        self.driver = self.space.start(
            "driver", str(self.run), self.name, self.instance.pod_cidr, self.instance.service_cidr
        )
        self.read()

    def upstreams(self, *servers: str) -> None:
        """What /etc/resolv.conf says."""
        (self.run / "etc-resolv.conf").write_text("".join(f"nameserver {server}\n" for server in servers))

    def neighbour(self) -> Pod:
        """Another machine, 192.0.2.2, on a wire of its own; this one is 192.0.2.1 there."""
        neighbour = Pod(Link("", self.networks.pods4[1], self.networks.pods6[1], "", "", ""))
        self.pods.append(neighbour)
        self.space.run("ip", "link", "add", "wire", "type", "veth", "peer", "eth0", "netns", neighbour.space.path)
        self.space.run("ip", "address", "add", "192.0.2.1/24", "dev", "wire")
        self.space.run("ip", "link", "set", "wire", "up")
        neighbour.space.run("ip", "address", "add", "192.0.2.2/24", "dev", "eth0")
        neighbour.space.run("ip", "link", "set", "eth0", "up")
        return neighbour

    def kill(self) -> None:
        """kill -9 of what stands for the daemon."""
        self.driver.send_signal(signal.SIGKILL)
        self.driver.wait()

    def do(self, op: str, **request: Any) -> Any:
        assert self.driver.stdin
        self.driver.stdin.write(json.dumps({"op": op, **request}, default=_plain) + "\n")
        self.driver.stdin.flush()
        return self.read()

    def read(self) -> Any:
        assert self.driver.stdout
        assert self.driver.stderr
        line = self.driver.stdout.readline()
        answer = json.loads(line) if line else {"error": self.driver.stderr.read()}
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def pod(
        self,
        name: str = "",
        *segments: str,
        namespace: str = "shop",
        labels: Mapping[str, str] | None = None,
        ports: Sequence[tuple[str, str, int]] = (),
    ) -> Pod:
        number = len(self.pods)
        name = name or f"pod-{number}"
        link = Link(
            f"{self.name}-{number}",
            self.networks.pods4[10 + number],
            self.networks.pods6[0x10 + number],
            namespace,
            name,
            name,
            frozenset(segments),
            tuple((labels or {}).items()),
            tuple(ports),
        )
        pod = Pod(link)
        self.pods.append(pod)
        self.do("attach", link=asdict(link), netns=pod.space.path)
        return pod

    def service(self, name: str, *pods: Pod, number: int = 1, **options: Any) -> ServiceNet:
        """On port 80; `publish` takes (address, port) pairs."""
        port = ServicePort(
            "http",
            options.pop("protocol", "TCP"),
            80,
            tuple(backend for pod in pods for backend in pod.backend),
            tuple(Publish(*publish) for publish in options.pop("publish", ())),
        )
        told = tuple((pod.link.hostname, pod.link.ipv4, pod.link.ipv6) for pod in pods)
        addresses = (self.networks.services4[number], self.networks.services6[number])
        return ServiceNet("shop", name, *(options.pop("addresses", addresses)), (port,), told, **options)

    def apply(self, *services: ServiceNet) -> dict[str, str]:
        links = [asdict(pod.link) for pod in self.pods if pod.link.pod]
        raw = [asdict(service) for service in services]
        for service in raw:
            for port in service["ports"]:
                port["backends"] = [tuple(backend.values()) for backend in port["backends"]]
                port["publish"] = [tuple(publish.values()) for publish in port["publish"]]
        return dict(self.do("apply", links=links, services=raw, policies=self.policies, spaces=self.spaces))

    def dig(self, space: Namespace, name: str, kind: str = "A", *, tcp: bool = False) -> tuple[str, list[str]]:
        """(rcode, sorted answers)"""
        answer = json.loads(space.run("dig", str(self.networks.gateway4), name, kind, "tcp" if tcp else "udp"))
        return answer[0], answer[1]


def eventually(check: Callable[[], bool], seconds: float = 5.0) -> None:
    """For what the kernel or another process does on its own account."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else str(value)
