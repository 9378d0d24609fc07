"""The part of the ruleset that never changes while an instance runs: who may send what where. Pure.

    frame from a pod's port -> bridge guard: own addresses, to the gateway only (security: spoofing, RA, ARP)
    packet in               -> raw: no pod reaches the machine's loopback (CVE-2020-8558)
                            -> services: address and port of a service or of the machine become a backend's
    forward                 -> policed: what policies refuse to or from a pod (isolation.py)
                            -> between pods: only within a common segment; to pods from outside: only what is published
    to this machine         -> policed: questions to the resolver, as if it were a pod
    packet out              -> masquerade: pods to the world, a pod to itself, loopback to a pod
Everything that varies is an element of the sets and maps declared here, or a chain of `services`.
"""

from orchestr.network.addresses import Bridge, Networks, mac
from orchestr.network.ruleset import Chain

# A map a protocol: nft 1.0.6 cannot read its own `ip daddr . th dport` values back from the kernel, and for `ip daddr .
# tcp dport` it then adds a match on TCP to the rule.
_SLOT = "meta l4proto . th dport . numgen random mod 2"
SETS = {
    "inet services4": "map { typeof ip daddr . meta l4proto . th dport : verdict; }",
    "inet services6": "map { typeof ip6 daddr . meta l4proto . th dport : verdict; }",
    "inet ports4": "map { typeof meta l4proto . th dport : verdict; }",
    "inet ports6": "map { typeof meta l4proto . th dport : verdict; }",
    "inet any4": "map { typeof ip daddr : verdict; }",
    "inet any6": "map { typeof ip6 daddr : verdict; }",
    "inet open4": "map { typeof ip daddr . numgen random mod 2 : ip daddr; }",
    "inet open6": "map { typeof ip6 daddr . numgen random mod 2 : ip6 daddr; }",
    "inet class4": "map { typeof ip saddr : meta mark; }",
    "inet class6": "map { typeof ip6 saddr : meta mark; }",
    "inet egress4": "map { typeof ip saddr : verdict; }",
    "inet egress6": "map { typeof ip6 saddr : verdict; }",
    "inet ingress4": "map { typeof ip daddr : verdict; }",
    "inet ingress6": "map { typeof ip6 daddr : verdict; }",
    "inet reach4": "set { typeof meta mark . ip daddr; }",
    "inet reach6": "set { typeof meta mark . ip6 daddr; }",
    "inet self4": "set { typeof ip saddr . ip daddr; }",
    "inet self6": "set { typeof ip6 saddr . ip6 daddr; }",
    "bridge ports": "set { typeof iifname; }",
    "bridge guard4": "set { typeof iifname . ether saddr . ip saddr; }",
    "bridge guard6": "set { typeof iifname . ether saddr . ip6 saddr; }",
}
for _protocol in ("tcp", "udp"):
    for _family, _word in ((4, "ip"), (6, "ip6")):
        _value = f"{_word} daddr . {_protocol} dport"
        SETS[f"inet backends{_family}_{_protocol}"] = f"map {{ typeof {_word} daddr . {_SLOT} : {_value}; }}"
        SETS[f"inet behind{_family}_{_protocol}"] = f"map {{ typeof {_SLOT} : {_value}; }}"


def chains(bridge: Bridge, networks: Networks) -> dict[str, Chain]:
    own = f'"{bridge.name}"'
    return {
        "inet raw": Chain(
            (f"iifname {own} ip daddr 127.0.0.0/8 drop", f"iifname {own} ip6 daddr ::1 drop"),
            "type filter hook prerouting priority -300; policy accept;",
        ),
        "inet services": _services(),
        "inet incoming": _incoming(own, networks),
        "inet classify": Chain(_CLASSIFY),
        "inet outgoing": Chain(("jump services",), "type nat hook output priority -100; policy accept;"),
        "inet refuse": Chain(("meta l4proto tcp reject with tcp reset", "reject")),
        "inet between": _between(),
        "inet sending": Chain(("ip saddr vmap @egress4", "ip6 saddr vmap @egress6")),
        "inet policed": _policed(own),
        "inet input": _input(own, networks),
        "inet forward": _forward(own, networks),
        "inet output": Chain(
            (
                *_unserved(networks),
                # A redirect would tell pods of a shorter way that the guard then closes.
                f"oifname {own} icmp type redirect drop",
                f"oifname {own} icmpv6 type nd-redirect drop",
            ),
            "type filter hook output priority 0; policy accept;",
        ),
        "inet leaving": _masquerade(own, networks),
        "bridge guard": _guard(bridge),
        "bridge incoming": Chain(
            ("iifname @ports goto guard",), "type filter hook prerouting priority -300; policy accept;"
        ),
    }


_CLASSIFY = ("meta mark set 0", "meta mark set ip saddr map @class4", "meta mark set ip6 saddr map @class6")


def _incoming(own: str, networks: Networks) -> Chain:
    """A service whose pods the sender may not reach is left as it is, and then refused like one without backends.

    Left to `forward`, the refusal would not arrive: br_netfilter bridges what is rewritten to a pod on the same bridge,
    and answers there carry the backend's address, which the client does not know.
    """
    return Chain(
        (
            # Loopback addresses come only from the machine itself; from a neighbour they must never be rewritten.
            "ip daddr 127.0.0.0/8 return",
            f"iifname {own} ip daddr {networks.services4} jump classify",
            f"iifname {own} ip6 daddr {networks.services6} jump classify",
            f"iifname {own} ip daddr {networks.services4} meta mark . ip daddr != @reach4 return",
            f"iifname {own} ip6 daddr {networks.services6} meta mark . ip6 daddr != @reach6 return",
            f"iifname {own} meta mark set 0",
            "jump services",
        ),
        "type nat hook prerouting priority -100; policy accept;",
    )


def _services() -> Chain:
    return Chain(
        (
            "ip daddr . meta l4proto . th dport vmap @services4",
            "ip6 daddr . meta l4proto . th dport vmap @services6",
            "meta l4proto { tcp, udp } ip daddr vmap @any4",
            "meta l4proto { tcp, udp } ip6 daddr vmap @any6",
            "ip6 daddr ::1 return",  # the resolver process proxies it: IPv6 has no route_localnet
            "meta nfproto ipv4 fib daddr type local meta l4proto . th dport vmap @ports4",
            "meta nfproto ipv6 fib daddr type local meta l4proto . th dport vmap @ports6",
        )
    )


def _unserved(networks: Networks) -> tuple[str, ...]:
    """What is still addressed to a service after the rewriting has no backend."""
    return f"ip daddr {networks.services4} goto refuse", f"ip6 daddr {networks.services6} goto refuse"


def _between() -> Chain:
    """Two pods may talk iff the sender's class reaches the other's address. The mark lives for these rules only."""
    return Chain(
        (
            *_CLASSIFY,
            "meta mark . ip daddr @reach4 meta mark set 0 accept",
            "meta mark . ip6 daddr @reach6 meta mark set 0 accept",
            "goto refuse",
        )
    )


def _forward(own: str, networks: Networks) -> Chain:
    return Chain(
        (
            f"iifname != {own} oifname != {own} return",
            "ct state established,related accept",
            *_unserved(networks),
            # Only a pod's own port may send with its address: rules let pods through by it.
            f"iifname != {own} ip saddr {networks.pods4} drop",
            f"iifname != {own} ip6 saddr {networks.pods6} drop",
            "jump policed",
            f"iifname {own} oifname {own} goto between",
            f"oifname {own} ct status dnat accept",
            f"oifname {own} drop",
        ),
        "type filter hook forward priority 0; policy accept;",
    )


def _policed(own: str) -> Chain:
    """First what the sender may send, then what the receiver takes; nothing comes between a pod and itself.

    What the machine itself sends to a pod does not pass here: probes and published ports always arrive.
    """
    return Chain(
        (
            "ip saddr . ip daddr @self4 return",
            "ip6 saddr . ip6 daddr @self6 return",
            f"iifname {own} jump sending",
            f"oifname {own} ip daddr vmap @ingress4",
            f"oifname {own} ip6 daddr vmap @ingress6",
        )
    )


def _input(own: str, networks: Networks) -> Chain:
    """Pods reach their machine whatever policies say, as in Kubernetes; only names are asked as of a pod."""
    question = "meta l4proto { tcp, udp } th dport 53 jump sending"
    return Chain(
        (
            "ct state established,related accept",
            f"iifname {own} ip daddr {networks.gateway4} {question}",
            f"iifname {own} ip6 daddr {networks.gateway6} {question}",
        ),
        "type filter hook input priority 0; policy accept;",
    )


def _masquerade(own: str, networks: Networks) -> Chain:
    return Chain(
        (
            f"oifname {own} ip saddr . ip daddr @self4 masquerade",
            f"oifname {own} ip6 saddr . ip6 daddr @self6 masquerade",
            f"oifname {own} ip saddr 127.0.0.0/8 masquerade",
            f"oifname != {own} ip saddr {networks.pods4} masquerade",
            f"oifname != {own} ip6 saddr {networks.pods6} masquerade",
        ),
        "type nat hook postrouting priority 100; policy accept;",
    )


def _guard(bridge: Bridge) -> Chain:
    """Per port: own MAC and own addresses, and only to the gateway, so no frame goes from pod to pod."""
    gateway = mac(bridge.hardware)
    return Chain(
        (
            "iifname . ether saddr . arp saddr ip @guard4 iifname . arp saddr ether . arp saddr ip @guard4 "
            f"arp daddr ip {bridge.gateway4} accept",
            f"ether daddr {gateway} iifname . ether saddr . ip saddr @guard4 accept",
            "icmpv6 type { nd-router-advert, nd-redirect } drop",
            f"ether daddr {gateway} iifname . ether saddr . ip6 saddr @guard6 accept",
            "drop",
        )
    )
