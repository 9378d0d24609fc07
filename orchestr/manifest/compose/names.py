"""Compose names as DNS labels (RFC 1123): lower case, `_` and `.` become `-`, a hash where two would be the same."""

import hashlib
import re
from collections.abc import Iterable

LIMIT = 63
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def label(name: str) -> str:
    """The label of one name: `My_App.db` -> `my-app-db`. Too long a name is cut and gets a hash."""
    plain = re.sub(r"[^a-z0-9-]", "-", name.lower()).strip("-") or "x"
    return plain if len(plain) <= LIMIT else _hashed(plain, name)


def labels(names: Iterable[str]) -> dict[str, str]:
    """A label for every name, none twice. A name that is its own label keeps it; the result depends on no order."""
    wanted = {name: label(name) for name in names}
    counts: dict[str, int] = {}
    for mapped in wanted.values():
        counts[mapped] = counts.get(mapped, 0) + 1
    return {
        name: mapped if counts[mapped] == 1 or name == mapped else _hashed(mapped, name)
        for name, mapped in wanted.items()
    }


def _hashed(plain: str, name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()[:5]
    return f"{plain[: LIMIT - 6].rstrip('-')}-{digest}"
