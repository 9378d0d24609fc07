"""sessionAffinity ClientIP: a client keeps its backend for some seconds after its last connection. Pure.

One chain a service port and family tries the clients that each backend is known to have, then picks one; one chain and
one set a backend, which the packets themselves fill (as kube-proxy's nftables mode does). Names derive from service and
backend, so that a change of backends leaves the clients of the others alone.
"""

import hashlib

from orchestr.network.ruleset import Chain
from orchestr.network.seam import ServiceNet, ServicePort


def add(
    chains: dict[str, Chain],
    sets: dict[str, str],
    service: ServiceNet,
    port: ServicePort,
    family: int,
    targets: list[str],
) -> str:
    """Adds what `targets` ("10.88.0.5 . 8080") need; the verdict that leads there."""
    word, kind = ("ip", "ipv4_addr") if family == 4 else ("ip6", "ipv6_addr")
    front = _name(service.namespace, service.name, port.protocol, str(port.port), str(service.sticky))
    known, pick = [], []
    for index, target in enumerate(targets):
        name = f"{family}_{front}_{_name(target)}"
        address, number = target.split(" . ")
        to = f"[{address}]:{number}" if family == 6 else f"{address}:{number}"
        # `timeout` in the set for what a user adds by hand, in the statement for what packets add.
        sets[f"inet clients{name}"] = f"set {{ type {kind}; flags dynamic,timeout; timeout {service.sticky}s; }}"
        update = f"update @clients{name} {{ {word} saddr timeout {service.sticky}s }}"
        chains[f"inet to{name}"] = Chain((f"meta l4proto {port.protocol.lower()} {update} dnat {word} to {to}",))
        known.append(f"{word} saddr @clients{name} goto to{name}")
        pick.append(f"{index} : goto to{name}")
    rule = f"numgen random mod {len(targets)} vmap {{ {', '.join(pick)} }}"
    chains[f"inet sticky{family}_{front}"] = Chain((*known, rule))
    return f"goto sticky{family}_{front}"


def _name(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
