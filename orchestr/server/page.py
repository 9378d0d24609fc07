"""The tokens of a list in pieces."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, NamedTuple

from orchestr.api.errors import BadRequest, Expired

PATIENCE = 300.0  # seconds that a list in pieces may take, as long as Kubernetes keeps old revisions at least
TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


class TokenExpired(Expired):
    """A list in pieces cannot go on as it began; `rest` is the token with which it goes on as things are now."""

    rest = ""

    def status(self) -> dict[str, Any]:
        return {**super().status(), "metadata": {"continue": self.rest}}


class Page(NamedTuple):
    """Where a list in pieces goes on: behind this name, at this revision; 0 is whatever there is then."""

    revision: int
    namespace: str
    name: str
    begun: int  # seconds since the epoch: when the list began

    def encode(self) -> str:
        return urlsafe_b64encode(json.dumps(self).encode()).decode()

    def too_old(self) -> TokenExpired:
        error = TokenExpired(TOO_OLD)
        error.rest = self._replace(revision=0).encode()
        return error


def page_of(token: str) -> Page:
    try:
        revision, namespace, name, begun = json.loads(urlsafe_b64decode(token))
        return Page(int(revision), str(namespace), str(name), int(begun))
    except (ValueError, TypeError):
        raise BadRequest("continue key is not valid: it is not one of ours (list anew without it)") from None
