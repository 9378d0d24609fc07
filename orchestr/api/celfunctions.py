"""What Kubernetes adds to the Common Expression Language: functions of strings, lists, quantities, addresses, ...

A value that the language has no type for (a quantity, an address) is a map with one key that says what it is, so that
equal values are equal. Functions raise ValueError for what is none.
Source: staging/src/k8s.io/apiserver/pkg/cel/library of Kubernetes, and cel-go's extensions.
"""

import base64
import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any
from urllib.parse import SplitResult, urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
QUANTITY, IP, CIDR, URL, SEMVER, FORMAT = "quantity", "ip", "cidr", "url", "semver", "format"


def _valid(read: Callable[[str], Any], text: Any) -> bool:
    try:
        read(text)
    except (ValueError, TypeError):
        return False
    return True


def _is(value: Any, name: str) -> bool:
    return isinstance(value, Mapping) and name in value


# strings


def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise ValueError(f"index out of range: {index}")
    return text[index : index + 1]


def _split(text: str, separator: str, most: int = -1) -> list[str]:
    if most == 0:
        return []
    if not separator:
        return list(text)
    return text.split(separator) if most < 0 else text.split(separator, most - 1)


def _replace(text: str, old: str, new: str, most: int = -1) -> str:
    return text.replace(old, new, most)


def _substring(text: str, start: int, end: int | None = None) -> str:
    if not 0 <= start <= (len(text) if end is None else end) <= len(text):
        raise ValueError(f"index out of range: {start}, {end}")
    return text[start:end]


def _reverse(value: Any) -> Any:
    return value[::-1]


def _cased(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: "".join(change(char) if char.isascii() else char for char in text)


VERB = re.compile(r"%(?:\.(\d{1,3}))?([sdfeboxX%])|%")


def _format(pattern: str, items: list[Any]) -> str:
    rest = iter(items)

    def one(match: re.Match[str]) -> str:
        if match[2] is None:
            raise ValueError(f"unrecognized formatting clause in {pattern!r}")
        if match[2] == "%":
            return "%"
        try:
            value = next(rest)
        except StopIteration:
            raise ValueError("index out of range: too few arguments for the format") from None
        return _formatted(match[2], int(match[1] or 6), value)

    return VERB.sub(one, pattern)


def _formatted(verb: str, precision: int, value: Any) -> str:
    if verb == "s":
        return text_of(value)
    if verb == "b" and isinstance(value, bool):
        return str(int(value))
    if verb in "fe":
        return f"{float(value):.{precision}{verb}}"
    if verb in "xX" and isinstance(value, str):
        return value.encode().hex() if verb == "x" else value.encode().hex().upper()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a number is needed for %{verb}")
    return str(value) if verb == "d" else f"{int(value):{verb}}"


def text_of(value: Any) -> str:
    """As the language's string() and %s write a value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(text_of, value))}]"
    for name in (IP, CIDR, URL, QUANTITY, SEMVER):
        if _is(value, name):
            return str(value.get("text", value[name]))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{text_of(k)}: {text_of(v)}" for k, v in sorted(value.items())) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)


# lists


def _sorted(items: list[Any]) -> bool:
    return all(a <= b for a, b in pairwise(items))


def _last(items: Any, item: Any) -> int:
    if isinstance(items, str):
        return items.rfind(item)
    return len(items) - 1 - items[::-1].index(item) if item in items else -1


def _first(items: Any, item: Any, start: int = 0) -> int:
    if isinstance(items, str):
        return items.find(item, start)
    return items.index(item) if item in items else -1


def _sum(items: list[Any]) -> Any:
    return sum(items[1:], items[0]) if items else 0


def _distinct(items: list[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def _flatten(items: list[Any], depth: int = 1) -> list[Any]:
    if depth < 1:
        return list(items)
    return [each for item in items for each in (_flatten(item, depth - 1) if isinstance(item, list) else [item])]


def _subset(whole: list[Any], part: Iterable[Any]) -> bool:
    return all(item in whole for item in part)


# quantities


def quantity(text: Any) -> dict[str, str]:
    from orchestr.api.quantity import parse

    return {QUANTITY: f"{parse(text).normalize():f}"}


def _amount(value: Any) -> Decimal:
    return Decimal(value[QUANTITY])


def _plus(sign: int, left: Any, right: Any) -> dict[str, str]:
    more = Decimal(right) if isinstance(right, int) else _amount(right)
    return {QUANTITY: f"{(_amount(left) + sign * more).normalize():f}"}


def _integer(value: Any) -> int:
    amount = _amount(value)
    if amount != amount.to_integral_value():
        raise ValueError("cannot convert value to integer")
    return int(amount)


# versions


SEMVER_SYNTAX = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")


def semver(text: str, normalize: bool = False) -> dict[str, Any]:
    if normalize:
        core, dash, rest = text.removeprefix("v").partition("-")
        numbers = [str(int(part)) if part.isdecimal() else part for part in core.split(".")]
        text = ".".join([*numbers, "0", "0"][: max(3, len(numbers))]) + dash + rest
    found = SEMVER_SYNTAX.fullmatch(text)
    if not found or any(len(part) > 1 and part[0] == "0" for part in found.groups()[:3]):
        raise ValueError(f"{text!r} is no semantic version")
    return {SEMVER: [int(part) for part in found.groups()[:3]], "pre": found[4] or ""}


def _rank(value: Any) -> tuple[Any, ...]:
    if _is(value, QUANTITY):
        return (_amount(value),)
    parts = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in value["pre"].split(".")]
    return (*value[SEMVER], not value["pre"], parts)


def _compared(test: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda left, right: test(_rank(left), _rank(right))


def _part(index: int) -> Callable[[Any], int]:
    return lambda value: int(value[SEMVER][index])


# addresses


def ip(value: Any) -> dict[str, str]:
    """Of text, and of a CIDR its address."""
    if _is(value, CIDR):
        return {IP: value[CIDR].split("/")[0]}
    found = ipaddress.ip_address(value)
    if isinstance(found, ipaddress.IPv6Address) and (found.scope_id or found.ipv4_mapped):
        raise ValueError(f"{value!r}: zones and IPv4-mapped addresses are not allowed")
    return {IP: str(found)}


def _is_ip(value: Any, family: int = 0) -> bool:
    return _valid(ip, value) and family in (0, ipaddress.ip_address(ip(value)[IP]).version)


def _address(value: Any) -> Address:
    return ipaddress.ip_address(value[IP] if _is(value, IP) else value)


def cidr(text: str) -> dict[str, str]:
    if "/" not in text:
        raise ValueError(f"{text!r} is no CIDR: it has no prefix length")
    found = ipaddress.ip_interface(text)
    return {CIDR: f"{found.ip}/{found.network.prefixlen}"}


def _network(value: Any) -> Network:
    return ipaddress.ip_interface(value[CIDR] if _is(value, CIDR) else cidr(value)[CIDR]).network


def _contains_cidr(whole: Any, part: Any) -> bool:
    outer, inner = _network(whole), _network(part)
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _family(value: Any) -> int:
    return _address(value).version if _is(value, IP) else _network(value).version


def _about(test: Callable[[Address], bool]) -> Callable[[Any], bool]:
    return lambda value: test(_address(value))


def _global(address: Address) -> bool:
    special = address.is_multicast or address.is_loopback or address.is_link_local or address.is_unspecified
    return not special and str(address) != "255.255.255.255"


# URLs


def url(text: str) -> dict[str, str]:
    parts = urlsplit(text)
    if not (parts.scheme and parts.netloc) and not text.startswith("/"):
        raise ValueError(f"{text!r} is no URL")
    return {URL: text}


def _url_part(part: Callable[[SplitResult], Any]) -> Callable[[Any], Any]:
    return lambda value: part(urlsplit(value[URL]))


def _query(parts: SplitResult) -> dict[str, list[str]]:
    from urllib.parse import parse_qs

    return parse_qs(parts.query, keep_blank_values=True)


def _host(parts: SplitResult) -> str:
    name = parts.hostname or ""
    shown = f"[{name}]" if ":" in name else name
    return f"{shown}:{parts.port}" if parts.port is not None else shown


# optional values: celdialect.py writes these


def optional(found: bool, value: Any = None) -> Any:
    from cel import OptionalValue

    return OptionalValue.of(value) if found else OptionalValue.none()


def _opt_select(value: Any, key: Any) -> Any:
    """Of a value, or of an optional one."""
    from cel import OptionalValue

    if isinstance(value, OptionalValue):
        return _opt_select(value.value(), key) if value.has_value() else value
    if isinstance(value, list):
        inside = isinstance(key, int) and not isinstance(key, bool) and 0 <= key < len(value)
    else:
        inside = isinstance(value, Mapping) and key in value
    return optional(inside, value[key] if inside else None)


def _opt_list(value: Any) -> list[Any]:
    return [value.value()] if value.has_value() else []


def _opt_head(items: list[Any]) -> Any:
    return optional(bool(items), items[0] if items else None)


def _opt_join(items: list[list[Any]]) -> Any:
    return _opt_head(items[0] if items else [])


def _pairs(value: Any) -> list[list[Any]]:
    return [[k, v] for k, v in (value.items() if isinstance(value, Mapping) else enumerate(value))]


def _bool(value: Any) -> bool:
    known = {"true": True, "True": True, "TRUE": True, "t": True, "1": True}
    known |= {"false": False, "False": False, "FALSE": False, "f": False, "0": False}
    if isinstance(value, bool):
        return value
    if value not in known:
        raise ValueError(f"type conversion error from {value!r} to 'bool'")
    return known[value]


def _escape_key(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _named(name: str) -> dict[str, str]:
    return {FORMAT: name}


def _validate(form: Any, text: str) -> Any:
    """What is wrong with the text, as an optional list."""
    from orchestr.api import names

    rules: dict[str, Callable[[str], str]] = {
        "dns1123Label": names.dns_label,
        "dns1123Subdomain": names.dns_subdomain,
        "dns1035Label": names.dns_label,
    }
    if form[FORMAT] not in rules:
        raise ValueError(f"format {form[FORMAT]} is not supported (there are {', '.join(rules)})")
    wrong = rules[form[FORMAT]](text)
    return optional(bool(wrong), [wrong])


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "add": partial(_plus, 1),
    "asApproximateFloat": lambda value: float(_amount(value)),
    "asInteger": _integer,
    "base64.decode": lambda text: base64.b64decode(text + "=" * (-len(text) % 4), validate=True),
    "base64.encode": lambda data: base64.b64encode(data).decode(),
    "bool": _bool,
    "charAt": _char_at,
    "cidr": cidr,
    "compareTo": _compared(lambda a, b: (a > b) - (a < b)),
    "containsCIDR": _contains_cidr,
    "containsIP": lambda whole, part: _address(part) in _network(whole),
    "distinct": _distinct,
    "family": _family,
    "flatten": _flatten,
    "format": _format,
    "format.dns1035Label": lambda: _named("dns1035Label"),
    "format.dns1123Label": lambda: _named("dns1123Label"),
    "format.dns1123Subdomain": lambda: _named("dns1123Subdomain"),
    "getEscapedPath": _url_part(lambda parts: parts.path),
    "getHost": _url_part(_host),
    "getHostname": _url_part(lambda parts: parts.hostname or ""),
    "getPort": _url_part(lambda parts: "" if parts.port is None else str(parts.port)),
    "getQuery": _url_part(_query),
    "getScheme": _url_part(lambda parts: parts.scheme),
    "indexOf": _first,
    "ip": ip,
    "ip.isCanonical": lambda text: ip(text)[IP] == text,
    "isCIDR": partial(_valid, cidr),
    "isGlobalUnicast": _about(_global),
    "isGreaterThan": _compared(lambda a, b: a > b),
    "isIP": _is_ip,
    "isInteger": lambda value: _amount(value) == _amount(value).to_integral_value(),
    "isLessThan": _compared(lambda a, b: a < b),
    "isLinkLocalMulticast": _about(
        lambda a: a in ipaddress.ip_network("224.0.0.0/24" if a.version == 4 else "ff02::/16")
    ),
    "isLinkLocalUnicast": _about(lambda a: a.is_link_local),
    "isLoopback": _about(lambda a: a.is_loopback),
    "isQuantity": partial(_valid, quantity),
    "isSemver": lambda text, normalize=False: _valid(partial(semver, normalize=normalize), text),
    "isSorted": _sorted,
    "isURL": partial(_valid, url),
    "isUnspecified": _about(lambda a: a.is_unspecified),
    "join": lambda items, separator="": separator.join(items),
    "jsonpatch.escapeKey": _escape_key,
    "lastIndexOf": _last,
    "lowerAscii": _cased(str.lower),
    "major": _part(0),
    "masked": lambda value: {CIDR: str(_network(value))},
    "math.abs": abs,
    "math.ceil": lambda number: float(math.ceil(number)),
    "math.floor": lambda number: float(math.floor(number)),
    "math.greatest": lambda *items: max(items[0] if isinstance(items[0], list) else items),
    "math.least": lambda *items: min(items[0] if isinstance(items[0], list) else items),
    "max": lambda *items: max(items[0] if isinstance(items[0], list) else items),
    "min": lambda *items: min(items[0] if isinstance(items[0], list) else items),
    "minor": _part(1),
    "optHead__": _opt_head,
    "optJoin__": _opt_join,
    "optList__": _opt_list,
    "optSelect__": _opt_select,
    "pairs__": _pairs,
    "patch": _part(2),
    "prefixLength": lambda value: _network(value).prefixlen,
    "quantity": quantity,
    "replace": _replace,
    "reverse": _reverse,
    "semver": semver,
    "sets.contains": _subset,
    "sets.equivalent": lambda left, right: _subset(left, right) and _subset(right, left),
    "sets.intersects": lambda left, right: any(item in right for item in left),
    "sign": lambda value: (_amount(value) > 0) - (_amount(value) < 0),
    "slice": lambda items, start, end: items[start:end],
    "sort": sorted,
    "split": _split,
    "string": text_of,
    "sub": partial(_plus, -1),
    "substring": _substring,
    "sum": _sum,
    "trim": lambda text: text.strip(),
    "upperAscii": _cased(str.upper),
    "url": url,
    "validate": _validate,
}
