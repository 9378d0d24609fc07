"""Other firewalls on this machine that stop what pods send to the world: dockerd and ufw set the policy of FORWARD to
drop. Seen as nftables shows it, which includes iptables-nft; the older iptables-legacy is not visible there."""

import re
from collections.abc import Iterator

from orchestr.network.nft import listed

TABLE = re.compile(r"table (\w+ \S+) \{")
CHAIN = re.compile(r"chain (\S+) \{")
CLOSED = re.compile(r"type filter hook forward priority [^;]+; policy drop;")
OURS = re.compile(r'iifname "orch[^"]*".* accept$', re.MULTILINE)


def closed() -> list[str]:
    """The chains ("ip filter FORWARD") that drop by policy and have no exception for our bridges. NetworkFailure."""
    return [chain for chain in dropping(listed("list chains")) if not OURS.search(listed(f"list chain {chain}"))]


def dropping(text: str) -> Iterator[str]:
    """Of the output of `nft list chains`. Pure."""
    table = chain = ""
    for line in map(str.strip, text.splitlines()):
        if found := TABLE.match(line):
            table = found[1]
        elif found := CHAIN.match(line):
            chain = found[1]
        elif CLOSED.match(line):
            yield f"{table} {chain}"
