"""Compose files written on the spot, in a directory that is the project's."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from orchestr.manifest.compose import Project, project
from orchestr.manifest.errors import ManifestError

Loads = Callable[..., Project]


@pytest.fixture
def loads(tmp_path: Path) -> Loads:
    """`loads("services: ...", "a later file")` -> the project; the keyword arguments are those of `project`."""

    def load(*texts: str, env: dict[str, str] | None = None, name: str | None = "shop", **options: Any) -> Project:
        paths = []
        for number, text in enumerate(texts):
            path = tmp_path / f"file{number}.yaml"
            path.write_text(dedent(text))
            paths.append(str(path))
        return project(paths, env=env or {}, name=name, **options)

    return load


@pytest.fixture
def refused(loads: Loads, tmp_path: Path) -> Callable[..., list[str]]:
    """The problems of files that cannot be loaded, without the directory in front: `file0.yaml:3:5: ...`."""

    def refuse(*texts: str, **options: Any) -> list[str]:
        with pytest.raises(ManifestError) as caught:
            loads(*texts, **options)
        return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return refuse
