"""--chown: USER[:GROUP] by name or number; names are looked up in the image's own files."""

import os

from orchestr.images.build.trees import Refused, open_in

Owner = tuple[int, int]
MOST = 1 << 20  # bytes of passwd or group that are read


def owner(root: int, text: str) -> Owner | None:
    """None for "". A user without a group takes its own, a number its own number."""
    if not text:
        return None
    name, colon, group = text.partition(":")
    users = {} if name.isdigit() else _table(root, "etc/passwd")
    if not name.isdigit() and name not in users:
        raise Refused(f"user {name} is not in the image's /etc/passwd")
    uid = int(name) if name.isdigit() else int(users[name][2])
    if not colon:
        return uid, uid if name.isdigit() else int(users[name][3])
    if group.isdigit():
        return uid, int(group)
    groups = _table(root, "etc/group")
    if group not in groups:
        raise Refused(f"group {group} is not in the image's /etc/group")
    return uid, int(groups[group][2])


def _table(root: int, path: str) -> dict[str, list[str]]:
    try:
        with open(open_in(root, path, os.O_RDONLY), encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read(MOST).splitlines()
    except OSError:
        return {}
    rows = (line.split(":") for line in lines)
    return {row[0]: row for row in rows if len(row) > 3 and row[2].isdigit() and (path[4] == "g" or row[3].isdigit())}
