"""Sets of completion indexes as a Job writes them: "0-2,5". Pure."""

from collections.abc import Collection


def numbers(text: str | None, below: int) -> set[int]:
    """The indexes less than `below`. Raises ValueError for what is not in rising order, or no list of numbers."""
    found: set[int] = set()
    last = -1
    for part in text.split(",") if text else ():
        first, dash, end = part.partition("-")
        if not all(each.isascii() and each.isdecimal() for each in (first, end or "0")) or (dash and not end):
            raise ValueError(f"{part!r} is neither a number nor a range such as 0-2")
        low, high = int(first), int(end or first)
        if low <= last or (dash and high <= low):
            raise ValueError(f"{part!r} is not in rising order")
        found.update(range(low, min(high + 1, below)))
        last = high
    return found


def highest(text: str) -> int:
    """The last index that is named, of a text that `numbers` takes."""
    return int(text.rpartition(",")[2].rpartition("-")[2])


def text(indexes: Collection[int]) -> str:
    """Ranges of at least three are drawn together, as Kubernetes writes them."""
    spans: list[list[int]] = []
    for index in sorted(indexes):
        if spans and index == spans[-1][1] + 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    words = (str(low) if low == high else f"{low}{',' if high == low + 1 else '-'}{high}" for low, high in spans)
    return ",".join(words)
