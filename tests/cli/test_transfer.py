"""Whose login goes along with a pull: that of the registry which a short name belongs to."""

import json
from pathlib import Path

import pytest

from orchestr.cli.transfer import logins


def test_a_short_name_belongs_to_the_registry_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"reg.example": {"auth": "dTpw"}}}))
    (tmp_path / "registries.yaml").write_text("default: reg.example\n")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("ORCH_REGISTRIES", str(tmp_path / "nowhere.yaml"))
    assert logins("app") == []
    monkeypatch.setenv("ORCH_REGISTRIES", str(tmp_path / "registries.yaml"))
    assert logins("app") == [{"auths": {"reg.example": {"auth": "dTpw"}}}]
    assert logins("docker.io/app") == []
