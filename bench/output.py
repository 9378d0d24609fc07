"""Rows as a markdown table, as JSON, and into a document."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.samples import OURS, Parts, Row, spread

SIDES = (OURS, "docker", "podman", "crun", "runc", "C")
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def number(value: float) -> str:
    """Three significant digits; below one, three decimals."""
    size = abs(value)
    return f"{value:.{3 if 0 < size < 1 else 2 if 1 <= size < 10 else 1 if 10 <= size < 100 else 0}f}"


def span(values: Sequence[float]) -> str:
    it = spread(values)
    return f"{number(it.middle)} ({number(it.low)}-{number(it.high)})" if len(values) > 1 else number(it.middle)


def cell(row: Row, side: str) -> str:
    """The peer's value, and how many times better ours is."""
    if side not in row.samples:
        return ""
    text = span(row.samples[side])
    if side == OURS or OURS not in row.samples or not (ratios := row.ratios(side)):
        return text
    return f"{text}, **x{span(ratios)}**"


def table(rows: Iterable[Row], absent: Mapping[str, str]) -> str:
    rows = list(rows)
    sides = [side for side in SIDES if any(side in row.samples for row in rows) or side in absent]
    lines = [f"| what | {' | '.join(sides)} | goal | reached |", "| --- " * (len(sides) + 3) + "|"]
    for row in rows:
        cells = [cell(row, side) or ("not here" if side in absent else "") for side in sides]
        reached = {True: "yes", False: "**no**", None: ""}[row.reached()]
        cells += [row.goal.text if row.goal else "", reached]
        lines.append(f"| {row.what}, {row.unit} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def parts(found: Iterable[Parts]) -> str:
    lines = []
    for each in found:
        told = ", ".join(f"{name} {span(values)}" for name, values in each.parts.items())
        lines.append(f"- {each.what}, {each.unit}: {told}")
    return "\n".join(lines) + "\n" if lines else ""


def markdown(rows: Sequence[Row | Parts], absent: Mapping[str, str], machine: str) -> str:
    """The median and, in brackets, the middle half; x: how many times better ours is, round by round."""
    text = f"{machine}\n\n" + table((row for row in rows if isinstance(row, Row)), absent)
    if told := parts(row for row in rows if isinstance(row, Parts)):
        text += f"\nWhere ours goes:\n\n{told}"
    return text


def as_json(rows: Sequence[Row | Parts], absent: Mapping[str, str], machine: str) -> str:
    items = [{**asdict(row), **({"reached": row.reached()} if isinstance(row, Row) else {})} for row in rows]
    return json.dumps({"machine": machine, "absent": dict(absent), "rows": items}, indent=1)


def replace(document: str, text: str) -> str:
    """The document with what stands between its marks replaced; a document without marks gets them at its end."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        before, after = document.rstrip("\n") + "\n\n" if document else "", "\n"
    return f"{before}{BEGIN}\n{text}{END}{after}"


def write(path: Path, text: str) -> None:
    path.write_text(replace(path.read_text() if path.exists() else "", text))
