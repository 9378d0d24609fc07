"""`links: [SERVICE[:ALIAS]]`, of the time before networks: wait for the service, and one more name for it."""

from typing import Any

from orchestr.manifest.compose.reader import Reader

IMPLIED = {"condition": "service_started", "restart": True, "required": True}  # as compose-go implies it


def add(services: dict[str, dict[str, Any]], read: Reader, inactive: set[str]) -> None:
    """Adds to the services what their links mean. `services` are api.stack.Service in wire form, by name."""
    for name, service in services.items():
        for link in read.child("services").child(name).entries("links"):
            target, _, alias = str(link.node.data if link.node else "").partition(":")
            if target not in services and target not in inactive:
                link.error("", f"undefined service {target!r}", f"there are {', '.join(sorted(services)[:8])}")
                continue
            service.setdefault("depends_on", {}).setdefault(target, dict(IMPLIED))
            if alias and target in services:
                _alias(services[target], service, alias)


def _alias(target: dict[str, Any], source: dict[str, Any], alias: str) -> None:
    """On a network that both are on; two that share none cannot reach each other by any name."""
    networks = target.get("networks", {})
    common = next((network for network in networks if network in source.get("networks", {})), None)
    if common is not None:
        known = networks[common].get("aliases", ())
        networks[common] = {"aliases": (*known, *(() if alias in known else (alias,)))}
