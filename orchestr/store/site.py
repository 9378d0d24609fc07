"""What admission has to know of this machine, and where it takes chance from: all of it arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from random import Random


@dataclass(frozen=True)
class Site:
    node: str  # the name of the only Node
    services4: IPv4Network  # addresses of Services
    services6: IPv6Network
    uid: Callable[[], str]  # a new RFC 4122 uid at each call
    chance: Random  # suffixes of generated names
