"""What a plain scalar means: the core schema of YAML 1.2, section 10.3.2, with one exception.

`on`, `yes`, `22:22`, `1_000` and `2026-01-31` are strings. The exception is an integer that begins with 0, such as the
mode 0440: the core schema reads it as decimal, but Kubernetes and Compose read it as octal, and so does this file.
"""

import re
from typing import Any

NULLS = frozenset(("", "~", "null", "Null", "NULL"))
BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
FIRST = frozenset("+-.0123456789")  # of every number
INTEGER = re.compile(r"[-+]?[0-9]{1,400}")
OCTAL = re.compile(r"0o?([0-7]+)")
HEXADECIMAL = re.compile(r"0x([0-9a-fA-F]+)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
SPECIAL = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

TAGS = {  # what an explicit tag allows
    "tag:yaml.org,2002:null": type(None),
    "tag:yaml.org,2002:bool": bool,
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
}
STRING = "tag:yaml.org,2002:str"


def plain(text: str) -> Any:
    """The value of a plain scalar: None, bool, int, float or the text itself."""
    if text in NULLS:
        return None
    if text[0] in FIRST:
        return number(text)
    return BOOLS.get(text, text)


def number(text: str) -> Any:
    """An int, a float, or the text when it is no number."""
    if found := OCTAL.fullmatch(text):
        return int(found[1], 8)
    if INTEGER.fullmatch(text):
        return int(text)
    if found := HEXADECIMAL.fullmatch(text):
        return int(found[1], 16)
    if FLOAT.fullmatch(text):
        return float(text)
    if found := SPECIAL.fullmatch(text):
        return float("nan") if text.lower().endswith("nan") else float(found[1] + "inf")
    return text


def tagged(text: str, tag: str) -> Any:
    """The value of a scalar with one of YAML's own tags. Raises ValueError when the text does not fit, or the tag."""
    if tag == STRING:
        return text
    wanted = TAGS.get(tag)
    value = plain(text)
    if wanted is float and type(value) is int:
        return float(value)
    if wanted is None or type(value) is not wanted:
        raise ValueError(tag)
    return value
