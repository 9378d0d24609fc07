"""Compares `orch config` with `docker compose config`, as data.

    record COMPOSE            writes what COMPOSE makes of tests/compose/cases, for the tests
    compare COMPOSE FILE...   prints what differs for each Compose file (with its override beside it, if there is one)

COMPOSE is the program: docker-compose of version 2.40 or newer. It needs no daemon for this.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestr.manifest import compose
from orchestr.manifest.compose import discover, rendered
from orchestr.manifest.errors import ManifestError
from orchestr.manifest.yaml import parse

CASES = Path(__file__).resolve().parent.parent / "tests" / "compose" / "cases"
ENV = {"PATH": "/bin", "HOME": "/root"}
FORMS = ("json", "yaml")


def theirs(program: str, folder: Path, form: str, *files: str) -> Any:
    """Their configuration as data; None where they refuse the files."""
    named = [word for file in files for word in ("-f", file)]
    done = subprocess.run(
        [program, *named, "config", "--format", form], cwd=folder, env=ENV, capture_output=True, check=False
    )
    return None if done.returncode else parse(done.stdout, "theirs")[0].data


def ours(folder: Path, form: str, *files: str) -> Any:
    """The same of ours. The working directory becomes `folder`."""
    os.chdir(folder)
    try:
        found = rendered.escaped(compose.project(files or discover(".", ENV), env=ENV).config)
    except ManifestError:
        return None
    return rendered.for_json(found) if form == "json" else found


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from differences(one.get(key, "(missing)"), other.get(key, "(missing)"), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (first, second) in enumerate(zip(one, other, strict=True)):
            yield from differences(first, second, f"{path}[{index}]")
    elif one != other:
        yield f"{path}: ours {one!r}, theirs {other!r}"


def record(program: str) -> None:
    found: dict[str, Any] = {}
    for folder in sorted(path for path in CASES.iterdir() if path.is_dir()):
        for form in FORMS:
            text = json.dumps(theirs(program, folder, form), sort_keys=True).replace(str(folder), "HERE")
            found[f"{folder.name}.{form}"] = json.loads(text)
    (CASES / "recorded.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


def compare(program: str, files: list[str]) -> int:
    wrong = 0
    for file in files:
        folder = Path(file).resolve().parent
        for form in FORMS:
            found = list(
                differences(ours(folder, form, Path(file).name), theirs(program, folder, form, Path(file).name))
            )
            wrong += bool(found)
            print(*(f"{file} ({form}): {line[:300]}" for line in found), sep="\n", end="\n" if found else "")
    print(f"{len(files)} files, {wrong} differences")
    return min(wrong, 1)


if __name__ == "__main__":
    what, program, *rest = sys.argv[1:]
    sys.exit(compare(program, [str(Path(file).resolve()) for file in rest]) if what == "compare" else record(program))
