"""The composition of a daemon: what is opened in which order, and closed in the reverse.

    directories and lock -> ranges -> store -> supervisor -> dataplane -> images -> adoption -> agent
    -> controllers and HTTP server -> READY

Adoption comes before the controllers, so that none acts on what a reboot made untrue. A task that fails brings all
down, loudly: everything can be started anew at any moment, and containers, published ports and names outlive us.
"""

import gc
import logging
import os
import random
import resource
import shutil
import signal
import socket
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import trio

from orchestr import __version__
from orchestr.agent.agent import Agent
from orchestr.agent.collecting import Collector
from orchestr.api.metrics import PodMetrics
from orchestr.client.paths import address
from orchestr.daemon import https, inside, lines
from orchestr.daemon.accounttokens import AccountTokens
from orchestr.daemon.node import LocalNode, utc_now
from orchestr.daemon.place import CannotStart, held
from orchestr.daemon.ranges import settled
from orchestr.daemon.rootca import RootCa, renewed
from orchestr.daemon.systemd import notify
from orchestr.daemon.usage import Gauge
from orchestr.engine.manager import Manager
from orchestr.engine.registry import controllers
from orchestr.images.build.leftovers import sweep
from orchestr.images.garbage import Watermarks
from orchestr.images.registry import settings
from orchestr.images.registry.exchange import Exchange
from orchestr.images.seam import ImageError
from orchestr.images.store import Images
from orchestr.instance import Instance
from orchestr.network.addresses import networks
from orchestr.network.dataplane import LinuxDataplane
from orchestr.network.seam import NetworkFailure
from orchestr.runtime.client import SupervisedRuntime
from orchestr.runtime.seam import RuntimeFailure
from orchestr.server import bootstraproles
from orchestr.server.access import Access
from orchestr.server.app import App
from orchestr.server.auth import group_id
from orchestr.server.listen import AddressInUse, serve, unix_socket
from orchestr.server.log import pairs
from orchestr.server.tls import CannotListen
from orchestr.server.tokens import Issuer
from orchestr.store.local import LocalCluster, open_cluster
from orchestr.store.schema import StoreError

EXPECTED = (CannotStart, AddressInUse, CannotListen, StoreError, NetworkFailure, RuntimeFailure, ImageError)
DEFAULT = Watermarks()
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

log = logging.getLogger("orchestr.daemon")


class Ending:
    """Whether the daemon was asked to end, and how."""

    def __init__(self) -> None:
        self.asked, self.everything = trio.Event(), False

    def ask(self, everything: bool) -> None:
        self.everything = self.everything or everything
        self.asked.set()


def main(
    instance: Instance, listen: Sequence[str] = (), *, watermarks: Watermarks = DEFAULT, debug: bool = False
) -> int:
    """Runs a daemon in the foreground until SIGTERM, or POST /orchestr.dev/v1/stop. The exit code.

    `listen`: unix:///PATH and https://IP:PORT; by default the instance's socket, and a free port of 127.0.0.1.
    """
    lines.set_up(debug=debug)
    os.umask(0o077)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a container takes four, a client one
    try:
        with held(instance, group_id()):
            trio.run(run, settled(instance), listen, watermarks)
    except Exception as error:
        for leaf in _leaves(error):
            if isinstance(leaf, EXPECTED):
                print(leaf, file=sys.stderr)
            else:
                log.critical("daemon failed", exc_info=leaf)
        return 1
    return 0


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]


async def run(instance: Instance, listen: Sequence[str] = (), watermarks: Watermarks = DEFAULT) -> None:
    """One daemon's life. Raises what brought it down."""
    name, ranges = socket.gethostname().lower(), networks(instance)
    async with open_cluster(
        instance.database,
        node=name,
        services4=ranges.services4,
        services6=ranges.services6,
        clock=utc_now,
        uid=lambda: str(uuid.uuid4()),
        chance=random.Random(),
    ) as cluster:
        for row in cluster.quarantined:
            where = f"{row.kind} {row.namespace}/{row.name}"
            log.error(pairs("cannot read a stored object, it is kept aside", object=where, cause=row.error))
        await _run(instance, cluster, name, listen, watermarks)


async def _run(
    instance: Instance, cluster: LocalCluster, name: str, listen: Sequence[str], watermarks: Watermarks
) -> None:
    ending, ranges = Ending(), networks(instance)
    async with trio.open_nursery() as lower:
        runtime = SupervisedRuntime(instance.run)
        await lower.start(runtime.run)
        dataplane = LinuxDataplane(instance)
        await dataplane.start()
        registries = partial(settings.read, settings.file())
        place = os.path.join(instance.state, "images")
        images = await trio.to_thread.run_sync(Images, place, registries().default, watermarks)
        exchange = Exchange(images, registries)
        addresses = [address(each) for each in listen]
        paths = [each.host for each in addresses if not each.port] or [instance.socket]
        outside = https.sockets(instance, [each for each in addresses if each.port])
        within = https.inside(ranges)
        tls = await trio.to_thread.run_sync(https.settings, instance, name, ranges, outside)
        issuer = Issuer(tls.directory.signing_key(), time.time, lambda: str(uuid.uuid4()))
        own: dict[str, Any] = {"rootca": RootCa(tls), "accounttokens": AccountTokens(issuer, tls)}
        manager = Manager(cluster, {**controllers(), **own})
        cluster.measure(PodMetrics, Gauge(cluster, runtime, time.time).metrics)
        agent = Agent(
            cluster,
            manager.informers,
            manager.recorder,
            runtime,
            dataplane,
            images,
            exchange,
            name=name,
            state=instance.state,
            cgroup=instance.cgroup,
            pod_networks=(ranges.pods4, ranges.pods6),
            identity=inside.PodIdentity(cluster, issuer, tls),
            dns=[str(server) for server in await dataplane.dns_server()],
        )
        await agent.adopt()  # which ends what builds left running
        await trio.to_thread.run_sync(sweep, images.root)
        agent_scope = trio.CancelScope()
        lower.start_soon(_within, agent_scope, agent.run)
        collector = Collector(cluster, images, manager.recorder, name)
        exchange.crowded = collector.crowded
        node = LocalNode(
            instance,
            cluster,
            runtime,
            dataplane,
            images,
            exchange,
            name=name,
            clock=time.time,
            end=ending.ask,
            pods=agent.node,
        )
        node.urls = https.urls(outside)
        await bootstraproles.ensure(cluster)
        await inside.publish(cluster, ranges, within[0].getsockname()[1], name)
        app = App(cluster, node, Access(cluster, tls, node.urls, issuer))
        sockets = [unix_socket(path) for path in paths]
        async with trio.open_nursery() as upper:
            upper.start_soon(_signals, ending)
            upper.start_soon(manager.run)
            upper.start_soon(collector.run)
            upper.start_soon(partial(tls.renew, then=partial(renewed, cluster, tls)))
            server = partial(serve, app, sockets, secure=[*outside, *within], tls=tls.context)
            upper.start_soon(partial(server, started=partial(_ready, instance)))
            await ending.asked.wait()
            notify("STOPPING=1")
            upper.cancel_scope.cancel()
        for path in paths:
            os.unlink(path)
        if ending.everything:
            await agent.stop_all()
            agent_scope.cancel()  # nothing may apply a network state any more
            await dataplane.stop()
            with suppress(ImageError):  # somebody is in it
                await trio.to_thread.run_sync(images.unmount, None)
            await runtime.shutdown(instance.cgroup)
            await trio.to_thread.run_sync(partial(shutil.rmtree, instance.run, ignore_errors=True))
        log.info(pairs("daemon stopped", pid=os.getpid(), containers="ended" if ending.everything else "left running"))
        lower.cancel_scope.cancel()


def _ready(instance: Instance) -> None:
    gc.collect()
    gc.freeze()  # what is here now stays; collections need not look at it again
    log.info(pairs("daemon ready", version=__version__, pid=os.getpid(), socket=instance.socket, state=instance.state))
    notify(f"READY=1\nMAINPID={os.getpid()}")


async def _signals(ending: Ending) -> None:
    with trio.open_signal_receiver(*SIGNALS) as signals:
        async for number in signals:
            log.info(pairs("daemon stops", signal=signal.Signals(number).name))
            ending.ask(False)


async def _within(scope: trio.CancelScope, run: Callable[[], Awaitable[None]]) -> None:
    with scope:
        await run()
