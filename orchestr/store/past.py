"""The rows of a kind as they were at an earlier revision: today's, with the changes since then taken back. Pure.

So a list in pieces shows one instant throughout, and nothing has to be kept for it. It costs time for each change of
the kind since then, of which the ring keeps a bounded number.
"""

import json
from collections.abc import Iterable

from orchestr.api.base import Key
from orchestr.engine.cluster import EventType
from orchestr.store.table import Change, Row
from orchestr.store.watch import expired


def taken_back(rows: Iterable[Row], changes: Iterable[Change], namespace: str | None) -> list[Row]:
    """The rows without these changes, which come newest first; in the order of namespace and name.

    Raises Expired when it is not known what a change replaced: it is from before a restart.
    """
    changes = list(changes)
    if not changes:
        return list(rows)
    found = {key_of(row): row for row in rows}
    for change in changes:
        key = key_of(change.new)
        if namespace is not None and key.namespace != namespace:
            continue
        if change.type is EventType.ADDED:
            found.pop(key, None)
        elif change.old is None:
            raise expired()
        else:
            found[key] = change.old
    return [row for _, row in sorted(found.items())]


def key_of(row: Row) -> Key:
    """The row's key, without decoding the whole object of one that is history."""
    if row.fresh:
        return row.object.key
    metadata = json.loads(row.data)["metadata"]
    return Key(metadata.get("namespace", ""), metadata["name"])
