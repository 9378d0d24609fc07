"""Label selectors as text, as Kubernetes writes them. Pure.

a=b  a==b  a!=b  a in (b,c)  a notin (b,c)  a  !a     joined by commas
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from orchestr.api.errors import BadRequest

KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
VALUE = r"[-A-Za-z0-9_.]*"
TERM = re.compile(
    rf"\s*(?:(?P<not>!)\s*(?P<absent>{KEY})|(?P<key>{KEY})\s*"
    rf"(?:(?P<op>==|=|!=)\s*(?P<value>{VALUE})|\s(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*(?:,|$)"
)


class Requirement(NamedTuple):
    key: str
    operator: str  # "in", "notin", "exists", "absent"
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        if self.operator in ("exists", "absent"):
            return (self.key in labels) == (self.operator == "exists")
        return (labels.get(self.key) in self.values) == (self.operator == "in")


def labels(text: str) -> tuple[Requirement, ...]:
    """Of a labelSelector. BadRequest names the place."""
    found, position = [], 0
    while position < len(text):
        match = TERM.match(text, position)
        if match is None or match.end() == position:
            raise BadRequest(
                f"cannot read labelSelector {text!r}: unexpected {text[position:][:40]!r} (write a=b,c in (d,e))"
            )
        found.append(_requirement(match))
        position = match.end()
    return tuple(found)


def _requirement(match: re.Match[str]) -> Requirement:
    if match["absent"]:
        return Requirement(match["absent"], "absent")
    if match["op"]:
        return Requirement(match["key"], "notin" if match["op"] == "!=" else "in", frozenset({match["value"]}))
    if match["set"]:
        return Requirement(match["key"], match["set"], frozenset(value.strip() for value in match["values"].split(",")))
    return Requirement(match["key"], "exists")
