"""`ports` of a service in their short form (docker/go-connections, nat.ParsePortSpec), and single ports and ranges."""

import ipaddress
import re

from orchestr.manifest.compose.tree import Findings, Node, Path

RANGE = re.compile(r"(\d+)(?:-(\d+))?")
PROTOCOLS = ("tcp", "udp", "sctp")
HOW = "write [HOST-IP:]HOST:CONTAINER, an IPv6 address in brackets"


def long_ports(node: Node, path: Path, findings: Findings) -> Node:
    """Each entry in the long form; a range becomes an entry a port."""
    found: list[Node] = []
    for index, item in enumerate(node.list()):
        if any(map(findings.open, item.plain().values() if isinstance(item.data, dict) else [item.data])):
            found.append(item)
            continue
        try:
            found += [_checked(item)] if isinstance(item.data, dict) else map(item.map, port_forms(str(item.data)))
        except ValueError as error:
            findings.error(item.at, (*path, index), str(error))
    return node.like(found)


def _checked(port: Node) -> Node:
    """An entry in long form; its published port may have been written as a number."""
    plain = port.plain()
    published = str("" if plain.get("published") is None else plain["published"])
    if published:
        ports(published)
        port.data["published"] = port.data["published"].like(published)
    ports(str(plain.get("target", "")))
    if (address := plain.get("host_ip")) is not None:
        ipaddress.ip_address(str(address))
    protocol = str(plain.get("protocol") or "tcp")
    if protocol.lower() not in PROTOCOLS:
        raise ValueError(f"there is no protocol {protocol!r} (use {', '.join(PROTOCOLS)})")
    return port


def port_forms(text: str) -> list[dict[str, object]]:
    """`[[HOST-IP:]HOST:]CONTAINER[/PROTOCOL]`, with ranges, as long forms. Raises ValueError."""
    body, _, protocol = text.partition("/")
    protocol = (protocol or "tcp").lower()
    if protocol not in PROTOCOLS:
        raise ValueError(f"there is no protocol {protocol!r} (use {', '.join(PROTOCOLS)})")
    address, host, container = _parts(body, text)
    target = ports(container)
    rest: dict[str, object] = {"protocol": protocol, "mode": "ingress"}
    if address:
        rest["host_ip"] = str(ipaddress.ip_address(address)) if ":" not in address else address
    if not host:
        return [{"target": port, **rest} for port in target]
    published = ports(host)
    if len(target) == 1 < len(published):
        return [{"target": target[0], "published": host, **rest}]
    if len(published) != len(target):
        raise ValueError(f"{len(published)} host ports for {len(target)} container ports (write ranges of one length)")
    return [{"target": port, "published": str(out), **rest} for out, port in zip(published, target, strict=True)]


def _parts(body: str, text: str) -> tuple[str, str, str]:
    """(host address, host ports, container ports)"""
    address, bracket, rest = body[1:].partition("]:") if body.startswith("[") else ("", "", body)
    parts = rest.split(":")
    if len(parts) > (2 if bracket else 3) or not parts[-1]:
        raise ValueError(f"cannot read port {text!r} ({HOW})")
    if len(parts) == 3:
        address, *parts = parts
    if address:
        _address(address, text)
    return address, parts[0] if len(parts) == 2 else "", parts[-1]


def _address(address: str, text: str) -> None:
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        raise ValueError(f"cannot read port {text!r}: {address!r} is no IP address ({HOW})") from error


def ports(text: str) -> range:
    """The ports of `80` or `3000-3005`. Raises ValueError."""
    found = RANGE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"cannot read port {text!r} (write a number, or a range as 3000-3005)")
    first, last = int(found[1]), int(found[2] or found[1])
    if not (1 <= first <= 65535 and first <= last <= 65535):
        raise ValueError(f"cannot use port {text!r} (ports are 1 to 65535, a range goes up)")
    return range(first, last + 1)
