"""--format of the commands that Compose has: a table, JSON lines, or a template such as `{{.Name}} {{.Status}}`."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from orchestr.cli.errors import Bad
from orchestr.cli.output import table

FIELD = re.compile(r"\{\{\s*(json\s+)?\.(\w*)\s*\}\}")
Row = Mapping[str, Any]


def show(rows: Sequence[Row], form: str, columns: Sequence[str]) -> None:
    """`columns`: the keys of the table, which are its header in capitals. Bad for what is none of the forms."""
    if form == "json":
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
    elif form == "table":
        print(table([_title(key) for key in columns], [[text(row[key]) for key in columns] for row in rows]))
    elif form.startswith("table "):
        keys = [found[2] for found in FIELD.finditer(form)]
        cells = [filled(form.removeprefix("table "), row).split("\\t") for row in rows]
        print(table([_title(key) for key in keys], cells))
    else:
        for row in rows:
            print(filled(form.replace("\\t", "\t").replace("\\n", "\n"), row))
    sys.stdout.flush()


def _title(key: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).upper()


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def filled(template: str, row: Row) -> str:
    def one(found: re.Match[str]) -> str:
        key = found[2]
        if key and key not in row:
            raise Bad(f"orch: --format knows no .{key} (there are: {', '.join(row)})")
        value = row[key] if key else row
        return json.dumps(value, ensure_ascii=False) if found[1] or not key else text(value)

    made = FIELD.sub(one, template)
    if "{{" in made:
        raise Bad(f"orch: --format {template!r} is not supported (use table, json, or fields such as {{{{.Name}}}})")
    return made
