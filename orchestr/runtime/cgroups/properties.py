"""Properties of a systemd unit: from LinuxResources, and from annotations `org.systemd.property.NAME: VALUE`.

A property is (name, (D-Bus signature, value)). Sources: systemd.resource-control(5), org.freedesktop.systemd1(5), the
text form of GVariant for the annotations, which runc and crun read the same way.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestr.runtime.cgroups import cpu, memory
from orchestr.runtime.seam import RuntimeFailure

Property = tuple[str, tuple[str, Any]]
PREFIX: Final = "org.systemd.property."
INFINITY: Final = 2**64 - 1
_TYPES: Final = {
    "byte": "y",
    "int16": "n",
    "uint16": "q",
    "int32": "i",
    "uint32": "u",
    "int64": "x",
    "uint64": "t",
    "handle": "h",
    "double": "d",
    "boolean": "b",
    "string": "s",
    "objectpath": "o",
    "signature": "g",
}
_NUMBER: Final = re.compile(r"[+-]?(\d+|0x[0-9a-fA-F]+)")
_NAME: Final = re.compile(r"[A-Za-z]{3,}")


def of_resources(resources: Mapping[str, Any], *, v2: bool) -> Iterator[Property]:
    """What systemd has a word for. Pure."""
    yield from _memory(resources.get("memory") or {}, v2)
    yield from _cpu(resources.get("cpu") or {}, v2)
    limit = (resources.get("pids") or {}).get("limit")
    if limit is not None:
        yield "TasksMax", ("t", INFINITY if int(limit) < 0 else max(int(limit), 1))
    weight = (resources.get("blockIO") or {}).get("weight")
    if weight:
        yield ("IOWeight", ("t", 1 + (weight - 10) * 9999 // 990)) if v2 else ("BlockIOWeight", ("t", int(weight)))


def _memory(given: Mapping[str, Any], v2: bool) -> Iterator[Property]:
    limit = int(given.get("limit") or 0)
    if limit:
        yield "MemoryMax" if v2 else "MemoryLimit", ("t", _infinite(limit))
    if v2 and given.get("reservation"):
        yield "MemoryLow", ("t", _infinite(int(given["reservation"])))
    swap = memory.only_swap(limit, int(given.get("swap") or 0)) if v2 else None
    if swap is not None:
        yield "MemorySwapMax", ("t", _infinite(swap))


def _cpu(given: Mapping[str, Any], v2: bool) -> Iterator[Property]:
    if v2 and given.get("idle") == 1:
        yield "CPUWeight", ("t", 0)  # systemd 252: cpu.idle
    elif given.get("shares"):
        shares = int(given["shares"])
        yield ("CPUWeight", ("t", cpu.weight(shares))) if v2 else ("CPUShares", ("t", shares))
    quota, period = int(given.get("quota") or 0), int(given.get("period") or 0)
    if period:
        yield "CPUQuotaPeriodUSec", ("t", period)
    if quota or period:
        share = -(-quota * 1_000_000 // (period or cpu.PERIOD)) if quota > 0 else INFINITY
        # systemd counts in hundredths of a CPU, and would round down what is between two
        yield "CPUQuotaPerSecUSec", ("t", share if share == INFINITY else -(-share // 10_000) * 10_000)
    if v2:
        for key, name in (("cpus", "AllowedCPUs"), ("mems", "AllowedMemoryNodes")):
            if given.get(key):
                yield name, ("ay", mask(str(given[key])))


def _infinite(value: int) -> int:
    return INFINITY if value < 0 else value


def mask(text: str) -> bytes:
    """ "0-2,9" as bytes, the lowest number in the lowest bit of the first."""
    bits = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        for number in range(int(first), int(last or first) + 1):
            bits |= 1 << number
    return bits.to_bytes(max(1, (bits.bit_length() + 7) // 8), "little")


def of_annotations(annotations: Mapping[str, str]) -> Iterator[Property]:
    """RuntimeFailure when one cannot be read. A name in Sec is told in USec, as systemd's own tools do."""
    for key, text in annotations.items():
        if not key.startswith(PREFIX):
            continue
        name = key.removeprefix(PREFIX)
        if not _NAME.fullmatch(name):
            raise RuntimeFailure(f"cannot use annotation {key}: invalid name {name!r} (letters, at least three)")
        try:
            signature, value = variant(str(text))
            if name.endswith("Sec") and not name.endswith("USec"):
                name, (signature, value) = f"{name.removesuffix('Sec')}USec", ("t", round(float(value) * 1_000_000))
        except (ValueError, TypeError) as error:
            raise RuntimeFailure(f"cannot use annotation {key}: {error} (write it as gvariant-text does)") from error
        yield name, (signature, value)


def variant(text: str) -> tuple[str, Any]:
    """`true`, `5`, `uint64 5`, `1.5`, `'text'`, `['a', 'b']`. ValueError."""
    text = text.strip()
    word, _, rest = text.partition(" ")
    if word in _TYPES and rest:
        signature, value = variant(rest)
        if _TYPES[word] in "so" and signature != "s":
            raise ValueError(f"{rest!r} is not a string")
        return _TYPES[word], value
    if text in ("true", "false"):
        return "b", text == "true"
    if text.startswith("[") and text.endswith("]"):
        return _array(text[1:-1])
    if len(text) >= 2 and text[0] in "'\"" and text[-1] == text[0]:
        return "s", text[1:-1].replace(f"\\{text[0]}", text[0])
    if _NUMBER.fullmatch(text):
        return "i", int(text, 0)
    return "d", float(text)


def _array(text: str) -> tuple[str, Any]:
    items = [variant(item) for item in re.findall(r"(?:'[^']*'|\"[^\"]*\"|[^,'\"])+", text) if item.strip()]
    if not items or any(signature != items[0][0] for signature, _ in items):
        raise ValueError(f"[{text}] is not an array of one type")
    return f"a{items[0][0]}", [value for _, value in items]
