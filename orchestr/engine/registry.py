"""Finds controllers through the entry-point group `orchestr.controllers`: ours and third parties' by the same door."""

import logging
from importlib.metadata import entry_points

from orchestr.engine.controller import Controller

GROUP = "orchestr.controllers"

log = logging.getLogger(__name__)


def controllers() -> dict[str, Controller]:
    """Name -> controller. One that cannot be loaded is reported and left out; the others work on."""
    found: dict[str, Controller] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            module = point.load()
        except Exception as error:  # a third party's module may fail in any way
            log.error("cannot load controller %s: %s (reinstall the package that brings it)", point.name, error)
            continue
        if not (hasattr(module, "WATCHES") and hasattr(module, "reconcile")):
            log.error("cannot use controller %s: %s has no WATCHES or reconcile", point.name, point.value)
            continue
        found[point.name] = module
    return found
