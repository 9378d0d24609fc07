"""The command line's own rules: durations, where options may stand, what every mistake gets."""

import argparse
import os
from pathlib import Path

import pytest

from orchestr.cli import BAD_INPUT, COMMANDS, GLOBAL, OK, context, main
from orchestr.cli.errors import Failed, guarded
from orchestr.cli.options import duration, parse
from orchestr.cli.output import age, colored, span, table


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller's shell says must not decide; what parse() sets is undone."""
    for name in ("ORCH_INSTANCE", "ORCH_HOST", "ORCH_DEBUG", "COMPOSE_PROJECT_NAME", "NO_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ORCH_INSTANCE", "test")


@pytest.mark.parametrize(("text", "seconds"), [
    ("90", 90), ("90s", 90), ("1m30s", 90), ("2h", 7200), ("1h1m1s", 3661), ("0.5s", 0.5), ("500ms", 0.5),
    ("1s500ms", 1.5),
])  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "soon", "1x", "-1s", "1s1m", "1 m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no duration"):
        duration(text)


def test_options_before_and_behind_the_command() -> None:
    """`orch -f X -p P apply` is `orch apply -f X -p P`; behind the command wins."""
    _, before = parse("apply", "apply", [], {"files": ["x"], "project": ["p"], "namespace": ["n"]})
    _, behind = parse("apply", "apply", ["-f", "x", "-p", "p", "-n", "n"], {"files": ["y"], "project": ["q"]})
    for args in (before, behind):
        assert (args.files, args.project, args.namespace) == (["x"], "p", "n")


def test_the_instance_reaches_the_environment() -> None:
    parse("status", "status", ["--instance", "lab"], {})
    assert os.environ["ORCH_INSTANCE"] == "lab"
    assert context.current().socket == "/run/orch-lab/orch.sock"


@pytest.mark.parametrize("words", [["--no-such"], ["-f"], ["applly"], ["-p", "x"]])
def test_a_mistake_before_the_command_is_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == BAD_INPUT
    told = capsys.readouterr()
    assert "Traceback" not in told.err + told.out


@pytest.mark.parametrize("command", [name for name, _, _, _ in COMMANDS])
def test_every_command_has_help_and_refuses_nonsense(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == OK
    assert f"usage: orch {command}" in capsys.readouterr().out
    assert main([command, "--no-such-option-at-all"]) == BAD_INPUT
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_nobody_foresaw_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A bug of ours says that it is one; a Failed has its own code; a closed pipe says nothing."""

    def bug(_: list[str]) -> int:
        raise ValueError("unexpected")

    def failed(_: list[str]) -> int:
        raise Failed("orch: no", 3)

    assert guarded(bug, []) == 1
    assert "this is a bug" in capsys.readouterr().err
    assert guarded(failed, []) == 3
    assert capsys.readouterr().err == "orch: no\n"


def test_the_namespace_comes_from_option_project_or_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """-n over -p over the Compose file here or above over `default`."""
    monkeypatch.chdir(tmp_path)
    args = argparse.Namespace(namespace=None, project=None)
    assert context.namespace(args) == "default"
    (tmp_path / "My_Shop/src").mkdir(parents=True)
    (tmp_path / "My_Shop/compose.yaml").write_text("services: {}\n")
    monkeypatch.chdir(tmp_path / "My_Shop/src")
    assert context.namespace(args) == "my-shop"
    (tmp_path / "My_Shop/compose.yaml").write_text("name: 'other'  # ours\nservices: {}\n")
    assert context.namespace(args) == "other"
    assert context.namespace(argparse.Namespace(namespace=None, project="p")) == "p"
    assert context.namespace(argparse.Namespace(namespace="n", project="p")) == "n"


@pytest.mark.parametrize("name", ["shop", "a-b", "x1", "My_Shop", "-odd-", "ä", "x" * 80, "a.b"])
def test_the_quick_label_is_the_loaders(name: str) -> None:
    """The name that is found without the Compose loader is the one that the loader gives."""
    from orchestr.manifest.compose.names import label

    assert context.label(name) == label(name)


def test_ages_as_kubectl_writes_them() -> None:
    assert [span(each) for each in (0, 119, 120, 330, 3600, 10800, 172800)] == [
        "0s",
        "119s",
        "2m",
        "5m30s",
        "60m",
        "3h",
        "2d",
    ]
    assert age("2026-01-31T12:00:00Z", now=1769860805) == "5s"
    assert age(None) == "<unknown>"


def test_tables_are_never_cut() -> None:
    assert table(["A", "B"], [["xxx", ""], ["y", "z"]]) == "A     B\nxxx\ny     z"


def test_colours_by_option_then_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert colored("always")
    assert not colored("never")
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    assert colored("auto")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colored("auto")
    assert not set(GLOBAL.values()) - {
        "instance",
        "host",
        "kubeconfig",
        "context",
        *("color", "files", "project", "namespace", "project_directory", "profiles", "env_files"),
    }


@pytest.mark.parametrize(
    ("words", "plain"),
    [
        (["web", "ls", "-l"], True),
        (["web", "git", "log", "--", "file"], True),
        (["web", "--", "ls"], False),
        (["-it", "-n", "shop", "web", "-c", "main", "--", "ls", "--", "x"], False),
    ],
)
def test_whose_form_of_exec_it_is(words: list[str], plain: bool) -> None:
    from orchestr.cli.exec import as_compose

    assert as_compose(parse("exec", "exec", words, {})[1]) is plain
