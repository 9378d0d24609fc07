"""`orch port SERVICE PORT`: where the machine publishes a port of a service."""

import argparse
import json
from typing import Any

from orchestr.cli import OK
from orchestr.cli.errors import Failed
from orchestr.cli.options import add_scope
from orchestr.cli.project import chosen, find
from orchestr.client.paths import path
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch port web 80          0.0.0.0:8080
  orch port web             all that it publishes"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", metavar="SERVICE")
    parser.add_argument("port", nargs="?", metavar="PORT[/PROTOCOL]", help="of the container (default: all)")
    parser.add_argument("--protocol", choices=("tcp", "udp"), default="tcp")
    parser.add_argument("--index", type=int, default=1, metavar="N", help="all containers of a service share its port")
    add_scope(parser)


def run(args: argparse.Namespace) -> int:
    project = find(args)
    (name,) = chosen(project, [args.service])
    service = project.client.get(path("services", project.namespace, project.labels[name]))
    entries = json.loads((service["metadata"].get("annotations") or {}).get("orchestr.dev/publish", "[]"))
    entries += _chosen_ports(project.client, project.namespace, service)
    wanted, _, protocol = (args.port or "").partition("/")
    protocol = protocol or args.protocol
    if wanted:
        entries = [e for e in entries if str(e["port"]) == wanted and e["protocol"].lower() == protocol]
    if not entries:
        what = f"no port {wanted}/{protocol}" if wanted else "no port"
        raise Failed(f"orch port: {name} publishes {what} (see ports: in the file)")
    for entry in entries:
        place = f"{_host(entry.get('hostIP') or '0.0.0.0')}:{entry['hostPort']}"
        print(place if wanted else f"{entry['port']}/{entry['protocol'].lower()} -> {place}")
    return OK


def _chosen_ports(client: Client, namespace: str, service: dict[str, Any]) -> list[dict[str, Any]]:
    """Ports that the machine chose: those of NodePort Services for the same pods."""
    return [
        {"port": port["port"], "protocol": port.get("protocol", "TCP"), "hostPort": port["nodePort"]}
        for other in client.get(path("services", namespace))["items"]
        if other["spec"].get("type") == "NodePort" and other["spec"].get("selector") == service["spec"].get("selector")
        for port in other["spec"]["ports"]
        if port.get("nodePort")
    ]


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
