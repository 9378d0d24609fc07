"""Documentation cannot lie: commands and exit codes are described, links lead somewhere, generated pages are fresh."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from orchestr import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODES = {name: getattr(cli, name) for name in ("OK", "FAILED", "BAD_INPUT", "TIMEOUT", "ROLLED_BACK", "NO_DAEMON")}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_say_what_the_code_says() -> None:
    assert script("docs").stale() == [], "run: make docs"


@pytest.mark.parametrize("command", [command[0] for command in cli.COMMANDS])
def test_every_command_is_described(command: str) -> None:
    assert f"\n## orch {command}\n" in (ROOT / "docs/cli.md").read_text()
    assert command in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_every_exit_code_is_described(name: str, code: int) -> None:
    assert re.search(rf"^\| {code} \| .+ \|$", (ROOT / "docs/cli.md").read_text(), re.MULTILINE), name


def test_every_option_says_what_it_means() -> None:
    """A list of choices may speak for itself."""
    lines = (ROOT / "docs/cli.md").read_text().splitlines()
    unsaid = [line for line in lines if re.fullmatch(r"\| `-.*` \|\s*\|", line)]
    assert [line for line in unsaid if r"\|" not in line] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_guide_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [page.name for page in ROOT.glob("docs/*.md") if f"(docs/{page.name})" not in readme] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    """`orchestr/cli/__init__.py`, `scripts/docs.py`: paths in code marks that begin with a folder of the project."""
    folders = "|".join(("orchestr", "controllers", "manifests", "scripts", "docs", "tests", "e2e", "bench"))
    named = re.findall(rf"\b(?:{folders})/[\w./-]*\w\.(?:py|yaml|md|sh)\b", page.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_rooms_are_described() -> None:
    described = (ROOT / "docs/architecture.md").read_text()
    rooms = [path.name for path in (ROOT / "orchestr").iterdir() if (path / "__init__.py").exists()]
    assert [room for room in rooms if f"**{room}/**" not in described] == []


def test_the_changelog_has_a_security_heading() -> None:
    assert "### Security" in (ROOT / "CHANGELOG.md").read_text()
