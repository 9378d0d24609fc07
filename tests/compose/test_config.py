"""What `orch config` shows equals what Compose shows; recorded by scripts/compose_config.py."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from orchestr.manifest.compose import discover, project, rendered, uninterpolated

CASES = Path(__file__).parent / "cases"
RECORDED: dict[str, Any] = json.loads((CASES / "recorded.json").read_text())
ENV = {"PATH": "/bin", "HOME": "/root"}


@pytest.mark.parametrize("case", RECORDED)
def test_a_project_is_shown_as_compose_shows_it(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, _, form = case.partition(".")
    monkeypatch.chdir(CASES / name)
    shown = rendered.escaped(project(discover(".", ENV), env=ENV).config)
    shown = rendered.for_json(shown) if form == "json" else shown
    assert json.loads(json.dumps(shown).replace(str(CASES / name), "HERE")) == RECORDED[case]


@pytest.mark.parametrize("name", sorted({case.partition(".")[0] for case in RECORDED}))
def test_what_is_shown_can_be_read_again(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(CASES / name)
    env = {**ENV, "COMPOSE_PROFILES": "on"}
    shown = project(discover(".", env), env=env).config
    again = tmp_path / "again.yaml"
    again.write_text(json.dumps(rendered.escaped(shown)))
    assert project([str(again)], env=env).config == shown


def test_only_what_some_services_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CASES / "files")
    shown = rendered.only(project(["compose.yaml"], env=ENV).config, ["two"])
    assert (list(shown["services"]), list(shown["volumes"])) == (["inner", "two"], ["vol"])
    assert "volumes" not in rendered.only(shown, ["web"])


def test_variables_may_be_left_as_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CASES / "forms")
    monkeypatch.setitem(os.environ, "COMPOSE_PROFILES", "on")
    shown = uninterpolated(["compose.yaml"])
    assert shown["services"]["web"]["image"] == "web:${TAG:-${OTHER:-latest}}"
    assert shown["services"]["web"]["privileged"] == "${YES:-true}"
    assert shown["configs"]["c"]["content"] == "hi $${there}"
