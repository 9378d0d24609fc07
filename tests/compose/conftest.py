"""Compose files written on the spot, in a directory that is the project's."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from orchestr.api import scheme
from orchestr.api.config import Secret
from orchestr.api.stack import Stack
from orchestr.manifest.compose import Project, project
from orchestr.manifest.errors import ManifestError
from orchestr.store.fields import merge


@dataclass(frozen=True)
class Read:
    """A project with its objects decoded: what the reader lets through, the models take."""

    project: Project
    secrets: tuple[Secret, ...]
    stack: Stack

    @classmethod
    def of(cls, project: Project) -> "Read":
        """Asserts that what is sent is in the form in which it is stored, so that the same again is seen to be so."""
        sent = json.loads(json.dumps(project.objects))
        _, *secrets, stack = decoded = [scheme.decode(data) for data in sent]
        for obj, data in zip(decoded, sent, strict=True):
            assert merge(obj.wire(), data) == obj.wire()
        return cls(project, tuple(secrets), stack)  # type: ignore[arg-type]

    @property
    def config(self) -> Mapping[str, Any]:
        return self.project.config


Loads = Callable[..., Read]


@pytest.fixture
def loads(tmp_path: Path) -> Loads:
    """`loads("services: ...", "a later file")` -> the project; the keyword arguments are those of `project`."""

    def load(*texts: str, env: dict[str, str] | None = None, name: str | None = "shop", **options: Any) -> Read:
        paths = []
        for number, text in enumerate(texts):
            path = tmp_path / f"file{number}.yaml"
            path.write_text(dedent(text))
            paths.append(str(path))
        return Read.of(project(paths, env=env or {}, name=name, **options))

    return load


@pytest.fixture
def refused(loads: Loads, tmp_path: Path) -> Callable[..., list[str]]:
    """The problems of files that cannot be loaded, without the directory in front: `file0.yaml:3:5: ...`."""

    def refuse(*texts: str, **options: Any) -> list[str]:
        with pytest.raises(ManifestError) as caught:
            loads(*texts, **options)
        return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return refuse
