"""Why a request was refused: one tree for store, server, client and controllers.

ApiError                 anything that becomes a Kubernetes `Status` with an HTTP code
  BadRequest        400  the request itself makes no sense
  Forbidden         403  not allowed: rights, or quota  (alias Refused: what a controller expects from create)
  NotFound          404  no such object or kind
  AlreadyExists     409  create of a name that is taken
  Conflict          409  the object changed meanwhile, or another field manager owns the field
  Expired           410  a watch or list from a resourceVersion that is no longer kept
  TooLarge          413  body or object over the limit
  UnsupportedMedia  415  content type of a patch that is not served
  Invalid           422  the object breaks a rule; `causes` has one entry a field
  Unavailable       503  the daemon is starting, stopping, or out of disk
"""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Cause(NamedTuple):
    """One thing that is wrong with one field."""

    field: str  # "spec.containers[0].image"
    message: str
    reason: str = "FieldValueInvalid"


def render(path: Sequence[str | int]) -> str:
    """`("spec", "containers", 0, "image")` as `spec.containers[0].image`; a key with odd characters as `[key]`."""
    text = ""
    for part in path:
        plain = isinstance(part, str) and part.replace("-", "a").replace("_", "a").isalnum()
        text += (f".{part}" if text else str(part)) if plain else f"[{part}]"
    return text


class ApiError(Exception):
    code = 500
    reason = "InternalError"

    def __init__(
        self,
        message: str,
        *,
        causes: Sequence[Cause] = (),
        details: dict[str, Any] | None = None,
        code: int | None = None,
        reason: str | None = None,
    ) -> None:
        """`code` and `reason`: where they are not its class's, because somebody else chose them."""
        super().__init__(message)
        self.code = self.code if code is None else code
        self.reason = self.reason if reason is None else reason
        self.message = message
        self.causes = tuple(causes)
        self.details = details or {}  # name, group, kind, uid, retryAfterSeconds

    def status(self) -> dict[str, Any]:
        """metav1.Status in wire form."""
        details = dict(self.details)
        if self.causes:
            details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in self.causes]
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            **({"details": details} if details else {}),
            "code": self.code,
        }


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Forbidden(ApiError):
    code, reason = 403, "Forbidden"


Refused = Forbidden


class NotFound(ApiError):
    code, reason = 404, "NotFound"


class AlreadyExists(ApiError):
    code, reason = 409, "AlreadyExists"


class Conflict(ApiError):
    code, reason = 409, "Conflict"


class Expired(ApiError):
    code, reason = 410, "Expired"


class TooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMedia(ApiError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(ApiError):
    code, reason = 422, "Invalid"


class Unavailable(ApiError):
    code, reason = 503, "ServiceUnavailable"


def _tree(cls: type[ApiError]) -> list[type[ApiError]]:
    return [cls, *(sub for child in cls.__subclasses__() for sub in _tree(child))]


def from_status(status: dict[str, Any], code: int) -> ApiError:
    """The error that a server's `Status` body stands for; an unknown reason keeps its code."""
    reason = status.get("reason")
    found = next((cls for cls in _tree(ApiError) if cls.reason == reason), None) or next(
        (cls for cls in _tree(ApiError) if cls.code == code), ApiError
    )
    details = dict(status.get("details") or {})
    causes = [Cause(c.get("field", ""), c.get("message", ""), c.get("reason", "")) for c in details.pop("causes", [])]
    return found(str(status.get("message") or f"HTTP {code}"), causes=causes, details=details, code=code)
