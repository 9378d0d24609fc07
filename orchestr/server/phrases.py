"""Reason phrases in status lines ("404 Not Found"), which hypercorn leaves out.

Nothing in HTTP needs them, but programs show them to people and some decide by them: the Python client's
ApiException.reason is this phrase.
"""

from http import HTTPStatus
from typing import Any

import h11
import hypercorn.protocol
from hypercorn.protocol.h11 import H11Protocol

PHRASES = {int(status): status.phrase.encode() for status in HTTPStatus}


class Spoken(H11Protocol):
    async def _send_h11_event(self, event: Any) -> None:
        if type(event) is h11.Response:
            object.__setattr__(event, "reason", PHRASES.get(event.status_code, b""))  # made anew for each
        await super()._send_h11_event(event)


def install() -> None:
    """Has hypercorn use it: the class is named in its ProtocolWrapper, and there is no other way in."""
    setattr(hypercorn.protocol, "H11Protocol", Spoken)  # noqa: B010 (mypy allows no assignment to an imported class)
