"""/.well-known/openid-configuration and /openid/v1/jwks: by which others verify our tokens (OpenID Discovery)."""

from starlette.responses import Response

from orchestr.api.errors import NotFound
from orchestr.server.access import Access
from orchestr.server.answer import dump, json_data
from orchestr.server.tokens import ISSUER

CONFIGURATION, KEYS = "/.well-known/openid-configuration", "/openid/v1/jwks"


def answer(access: Access, path: str) -> Response:
    if access.issuer is None:
        raise NotFound(f"cannot find {path}: the daemon makes no tokens (start it with https)")
    if path == KEYS:
        return Response(dump(access.issuer.jwks()), media_type="application/jwk-set+json")
    return json_data(
        {
            "issuer": ISSUER,
            "jwks_uri": f"{access.urls[0]}{KEYS}" if access.urls else f"{ISSUER}{KEYS}",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }
    )
