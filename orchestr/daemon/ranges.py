"""Which addresses an instance takes. Chosen once, of what is free, and kept in <state>/network.json.

The store cannot keep them: it has to know the Services' range before it opens. Named instances share 10.64.0.0/10, a
/16 for pods and the next one for Services.
"""

import fcntl
import json
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from glob import glob
from ipaddress import IPv4Network
from zlib import crc32

from orchestr.daemon.place import CannotStart
from orchestr.instance import RUN, VAR, Instance

FILE = "network.json"
POOL = IPv4Network("10.64.0.0/10")
TAKEN = (IPv4Network("10.88.0.0/15"),)  # of the unnamed instance
ROUTES = "/proc/net/route"
RTF_UP = 1


def settled(instance: Instance) -> Instance:
    """The instance with its ranges: as given, else as kept, else chosen now. CannotStart when none is free."""
    kept = _read(os.path.join(instance.state, FILE))
    pods, services = instance.pod_cidr or kept.get("pods", ""), instance.service_cidr or kept.get("services", "")
    with _one_at_a_time():
        if not (pods and services):
            chosen = choose(instance.name, [*_others(instance), *routes()])
            pods, services = pods or str(chosen[0]), services or str(chosen[1])
        _write(os.path.join(instance.state, FILE), {"pods": pods, "services": services})
    return instance._replace(pod_cidr=pods, service_cidr=services)


def choose(name: str, taken: Iterable[IPv4Network]) -> tuple[IPv4Network, IPv4Network]:
    """The pair for an instance of this name; the same name begins to look at the same place. Pure."""
    taken = (*TAKEN, *taken)
    pairs: Sequence[IPv4Network] = list(POOL.subnets(new_prefix=15))
    start = crc32(name.encode()) % len(pairs)
    for pair in (*pairs[start:], *pairs[:start]):
        if not any(pair.overlaps(other) for other in taken):
            pods, services = pair.subnets(new_prefix=16)
            return pods, services
    raise CannotStart(f"cannot choose addresses: {POOL} is in use (give --pod-cidr and --service-cidr)")


def routes() -> Iterator[IPv4Network]:
    """What this machine routes somewhere, default routes left out; route table `main`, proc(5)."""
    with open(ROUTES, encoding="ascii") as file:
        next(file)
        for line in file:
            fields = line.split()
            if int(fields[3], 16) & RTF_UP and (mask := int(fields[7], 16)):
                address = socket.inet_ntoa(struct.pack("=I", int(fields[1], 16)))
                yield IPv4Network(f"{address}/{mask.bit_count()}", strict=False)


def _others(instance: Instance) -> Iterator[IPv4Network]:
    """What other instances keep, running or not."""
    for path in glob(f"{VAR}/orch*/{FILE}"):
        if os.path.dirname(path) != instance.state:
            yield from (IPv4Network(value) for value in _read(path).values())


def _read(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        return {key: str(IPv4Network(data[key])) for key in ("pods", "services")}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotStart(f"cannot read {path}: {error} (remove it to choose addresses anew)") from error


def _write(path: str, data: dict[str, str]) -> None:
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two instances that start together must not choose the same."""
    directory = os.open(RUN, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)
