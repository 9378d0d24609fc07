"""`orch-oci plan`: what `create` would do with a bundle, system call by system call, without root and without doing it.

The launch itself is asked, on a machine where nothing happens (standin.py). What it leaves out: the cgroup's limits,
which are set before.
"""

import os
from contextlib import ExitStack
from typing import Any

from orchestr.runtime import launch
from orchestr.runtime.oci import bundle as bundles
from orchestr.runtime.oci.standin import GATE, Line, StandIn

Plan = list[tuple[str, list[Line]]]


def of(bundle: str, id: str = "planned") -> Plan:
    """(process, its calls in order): the parent's first, then its children's. RuntimeFailure as `create` would say."""
    found = bundles.read(bundle, id)
    machine = StandIn()
    gate = os.memfd_create(GATE, os.MFD_CLOEXEC)
    stdio = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        with machine(), ExitStack() as undo:
            opened = bundles.prepare(found, gate, undo)
            try:
                launch.start(opened.target, found.config, (stdio, stdio, stdio))
            finally:
                opened.close()
    finally:
        os.close(gate)
        os.close(stdio)
    children = [
        (f"{child.name}{f' (clone3 {child.flags})' if child.flags != '0' else ''}", child.lines)
        for child in machine.children
    ]
    return [("parent: opens what is the machine's", machine.parent), *children]


def text(plan: Plan) -> str:
    return "\n".join(f"{name}\n{_lines(lines)}" for name, lines in plan)


def _lines(lines: list[Line]) -> str:
    return "".join(f"{number:4}  {_line(line)}\n" for number, line in enumerate(lines, 1))


def _line(line: Line) -> str:
    call = f"{line.call}({', '.join(line.args)}){f' = {line.result}' if line.result else ''}"
    why = f"{line.what}: {line.where}" if line.what and line.where else line.what
    said = "; ".join(filter(None, (why, *line.notes)))
    return f"{call}  # {said}" if said else call


def data(plan: Plan) -> list[dict[str, Any]]:
    """For --format json."""
    return [{"process": name, "calls": [_call(line) for line in lines]} for name, lines in plan]


def _call(line: Line) -> dict[str, Any]:
    return {key: value for key, value in line._asdict().items() if value}
