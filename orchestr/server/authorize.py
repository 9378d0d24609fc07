"""Who may what: one question for every request."""

from orchestr.server.attributes import Attributes, refused
from orchestr.server.auth import Unauthorized
from orchestr.server.user import ANONYMOUS, User

OPEN = ("/livez", "/readyz", "/healthz", "/version")  # the only paths for which nobody has to say who they are


def open_to_all(wanted: Attributes) -> bool:
    parts = wanted.path.split("/")
    return wanted.verb == "get" and len(parts) > 1 and f"/{parts[1]}" in OPEN


class Authorizer:
    def authorize(self, user: User, wanted: Attributes) -> None:
        """Raises Forbidden; Unauthorized for somebody unknown."""
        if user.unrestricted or open_to_all(wanted):
            return
        if user.name == ANONYMOUS.name:
            raise Unauthorized
        raise refused(user.name, wanted)
