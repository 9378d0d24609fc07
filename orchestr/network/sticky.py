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
    port: ServicePort | None,
    family: int,
    targets: list[str],
) -> str:
    """Adds what `targets` ("10.88.0.5 . 8080"; "10.88.0.5" for any port, `port` None) need; the verdict to them."""
    word, kind = ("ip", "ipv4_addr") if family == 4 else ("ip6", "ipv6_addr")
    which = (port.protocol, str(port.port)) if port else ("any",)
    front = _name(service.namespace, service.name, *which, str(service.sticky))
    match = f"meta l4proto {port.protocol.lower() if port else '{ tcp, udp }'}"
    known, pick = [], []
    for index, target in enumerate(targets):
        name = f"{family}_{front}_{_name(target)}"
        address, _, number = target.partition(" . ")
        host = f"[{address}]" if family == 6 and number else address
        to = f"{host}:{number}" if number else host
        # `timeout` in the set for what a user adds by hand, in the statement for what packets add.
        sets[f"inet clients{name}"] = f"set {{ type {kind}; flags dynamic,timeout; timeout {service.sticky}s; }}"
        update = f"update @clients{name} {{ {word} saddr timeout {service.sticky}s }}"
        chains[f"inet to{name}"] = Chain((f"{match} {update} dnat {word} to {to}",))
        known.append(f"{word} saddr @clients{name} goto to{name}")
        pick.append(f"{index} : goto to{name}")
    rule = f"numgen random mod {len(targets)} vmap {{ {', '.join(pick)} }}"
    chains[f"inet sticky{family}_{front}"] = Chain((*known, rule))
    return f"goto sticky{family}_{front}"


def _name(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
