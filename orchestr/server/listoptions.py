"""Which query parameters of a list or a watch go together."""

from starlette.datastructures import QueryParams

from orchestr.api.errors import BadRequest, Cause, Invalid

OPTIONS = {"group": "meta.k8s.io", "kind": "ListOptions"}


def check_options(query: QueryParams, *, watch: bool = False) -> None:
    """Raises Invalid with all that do not go together. Source: apimachinery, ValidateListOptions."""
    version, match, initial = (
        query.get("resourceVersion", ""),
        query.get("resourceVersionMatch", ""),
        "sendInitialEvents" in query,
    )
    found: list[Cause] = []

    def forbid(field: str, why: str) -> None:
        found.append(Cause(field, f"Forbidden: {why}", "FieldValueForbidden"))

    if initial and not watch:
        forbid("sendInitialEvents", "sendInitialEvents is forbidden for list")
    if watch and initial and match != "NotOlderThan":
        forbid("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
    if watch and match and not initial:
        forbid(
            "resourceVersionMatch", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        )
    if match and not watch:
        if query.get("continue"):
            forbid("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided")
        if not version:
            forbid("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided")
        if match == "Exact" and version == "0":
            text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            forbid("resourceVersionMatch", text)
    if match not in ("", "NotOlderThan", "Exact"):
        text = f'Unsupported value: "{match[:64]}": supported values: "Exact", "NotOlderThan"'
        found.append(Cause("resourceVersionMatch", text, "FieldValueNotSupported"))
    if found:
        told = ", ".join(f"{cause.field}: {cause.message}" for cause in found)
        told = told if len(found) == 1 else f"[{told}]"
        raise Invalid(f'ListOptions.meta.k8s.io "" is invalid: {told}', causes=found, details=OPTIONS)
    if query.get("continue") and version not in ("", "0"):
        raise BadRequest("specifying resource version is not allowed when using continue")
