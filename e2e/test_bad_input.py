"""What bad input gets: every problem of the file at once, each with its place and the nearest right thing; exit 2.

Nothing runs here, and nothing may be started: a file that is wrong never reaches a daemon.
"""

# ruff: noqa: E501 - a case a line reads as a table

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.conftest import Host
from e2e.daemon import Daemon

LINE = re.compile(r"^[\w./-]+(:\d+:\d+)?: \S")
WORKLOAD = """apiVersion: apps/v1
kind: Deployment
metadata: {name: x}
spec:
  replicas: 1
  selector: {matchLabels: {app: x}}
  template:
    metadata: {labels: {app: x}}
    spec:
      containers:
      - {name: main, image: local/host}
"""
BOMB = "x-b:\n  - &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"  - &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)


@dataclass(frozen=True)
class Case:
    name: str
    content: str | bytes
    told: tuple[str, ...]  # the beginning of a line each, "FILE:" left out; as many lines as these


def changed(old: str, new: str) -> str:
    assert old in WORKLOAD
    return WORKLOAD.replace(old, new)


def service(body: str) -> str:
    return f"services:\n  web:\n    image: local/host\n{body}"


CASES = (
    Case("not YAML", "services: [\n  a: {\n", ("3:1: not YAML",)),
    Case("a tab", "services:\n\tweb:\n\t\timage: x\n", ("2:1: not YAML: a tab cannot indent (use spaces)",)),
    Case("a key twice", service("    image: other\n"), ("4:5: key 'image' is there twice (first in line 3)",)),
    Case("an alias bomb", BOMB + service(""), ("2:", )),
    Case("an unknown kind", changed("Deployment", "Deploymnt"), ("2:1: kind: there is no kind 'Deploymnt' in apps/v1 (did you mean Deployment?)",)),
    Case("an unknown field", changed("replicas:", "replicsa:"), ("5:3: spec.replicsa: unknown field 'replicsa' (did you mean replicas?)",)),
    Case("an unknown key", service("    enviroment: {A: b}\n"), ("4:5: services.web.enviroment: unknown key 'enviroment' (did you mean environment?)",)),
    Case("a wrong type", changed("replicas: 1", "replicas: many"), ("5:3: spec.replicas: must be an integer, not the string 'many'",)),
    Case("negative replicas", changed("replicas: 1", "replicas: -1"), ("5:3: spec.replicas: must be at least 0, not -1",)),
    Case("negative Compose replicas", service("    deploy: {replicas: -2}\n"), ("4:24: services.web.deploy.replicas: -2 is negative",)),
    Case("no image", changed(", image: local/host", ""), ("11:9: spec.template.spec.containers[0].image: needs an image",)),
    Case("no Compose image", "services:\n  web:\n    restart: always\n", ("2:3: services.web.image: has neither an image nor a build",)),
    Case("an undefined volume", service("    volumes: [data:/data]\n"), ("4:15: services.web.volumes[0].source: undefined volume 'data'",)),
    Case("an undefined network", service("    networks: [front]\n"), ("4:16: services.web.networks.front: undefined network 'front'",)),
    Case("an undefined secret", service("    secrets: [key]\n"), ("4:15: services.web.secrets[0].source: undefined secret 'key'",)),
    Case("an undefined config", service("    configs: [cfg]\n"), ("4:15: services.web.configs[0].source: undefined config 'cfg'",)),
    Case("a dependency on nothing", service("    depends_on: [db]\n"), ("4:18: services.web.depends_on.db: undefined service 'db'",)),
    Case("a cycle", "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c: {image: x, depends_on: [a]}\n",
         ("2:30: services.a.depends_on.b: services wait for each other: a -> b -> c -> a",)),
    Case("one port twice", 'services:\n  a: {image: x, ports: ["8080:80"]}\n  b: {image: x, ports: ["8080:80"]}\n',
         ("3:25: services.b.ports[0]: port 8080/tcp is already published by service a",)),
    Case("a port out of range", service('    ports: ["99999:1"]\n'), ("4:13: services.web.ports[0]: cannot use port '99999'",)),
    Case("a selector that does not match", changed("labels: {app: x}", "labels: {app: y}"),
         ("8:16: spec.template.metadata.labels: do not match the selector",)),
    Case("a name that is no DNS label", changed("name: x", "name: My_App"), ("3:12: metadata.name: 'My_App' is no DNS",)),
    Case("a container name", changed("name: main", "name: Main"), ("11:10: spec.template.spec.containers[0].name: 'Main' is no DNS label",)),
    Case("an empty file", "", ("1:1: the file is empty",)),
    Case("only comments", "# nothing\n---\n", ("1:1: the file is empty",)),
    Case("a binary file", bytes(range(256)) * 10, ("2:118: the file is not text in UTF-8",)),
    Case("a list", "[1, 2]\n", ("1:1: must be a map, not a list",)),
    Case("a string", "hello\n", ("1:1: must be a map, not the string 'hello'",)),
    Case("a key that is not done yet", service("    build: {context: ., privileged: true}\n    credential_spec: {file: x}\n"),
         ("4:25: services.web.build.privileged: not supported", "5:5: services.web.credential_spec: not supported")),
    Case("a variable without its message", service('    command: "${NEEDED:?say which}"\n'), ("4:14: ",)),
    Case("several at once", changed("replicas: 1", "replicas: -1").replace("labels: {app: x}", "labels: {app: y}").replace(", image: local/host", ""),
         ("5:3: spec.replicas", "8:16: spec.template.metadata.labels", "11:9: spec.template.spec.containers[0].image")),
    Case("one good and one bad document", WORKLOAD + "---\n" + changed("replicas: 1", "replicas: x"), ("17:3: spec.replicas",)),
    Case("the same object twice", WORKLOAD + "---\n" + WORKLOAD, ("15:",)),
)  # fmt: skip


@pytest.fixture
def nobody(host: Host) -> Iterator[Daemon]:
    """An instance that nothing may start."""
    daemon = Daemon()
    yield daemon
    daemon.nothing_left()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input(nobody: Daemon, tmp_path: Path, case: Case) -> None:
    """Exit 2; one line a problem, FILE:LINE:COL first, then the field and what is right; no daemon was started."""
    file = tmp_path / "stack.yaml"
    file.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
    done = nobody.orch("apply", "-f", "stack.yaml", cwd=tmp_path).expect(2)
    lines = done.err.splitlines()
    assert len(lines) == len(case.told), done.err
    for line, start in zip(lines, case.told, strict=True):
        assert line.startswith(f"stack.yaml:{start}"), line
        assert LINE.match(line), line
    assert done.out == ""


@pytest.mark.parametrize("command", ["diff", "config", "graph", "delete"])
def test_the_other_commands_that_read_files(nobody: Daemon, tmp_path: Path, command: str) -> None:
    """Whatever reads files tells the same problem in the same way."""
    (tmp_path / "stack.yaml").write_text(service("    imagine: x\n"))
    done = nobody.orch(command, "-f", "stack.yaml", cwd=tmp_path).expect(2)
    assert done.err.startswith("stack.yaml:4:5: services.web.imagine: unknown key 'imagine'")


def test_problems_of_several_files_come_together(nobody: Daemon, tmp_path: Path) -> None:
    """A directory with two wrong files: both are told, each with its own name."""
    (tmp_path / "k8s").mkdir()
    (tmp_path / "k8s/a.yaml").write_text(changed("replicas: 1", "replicas: -1"))
    (tmp_path / "k8s/b.yaml").write_text(changed("Deployment", "Deploymnt"))
    (tmp_path / "k8s/c.yaml").write_text(changed("metadata: {name: x}", "metadata: {name: y}"))
    lines = nobody.orch("apply", "-f", "k8s", cwd=tmp_path).expect(2).err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["k8s/a.yaml", "k8s/b.yaml"]


def test_a_file_of_10_mb_is_answered_within_seconds(nobody: Daemon, tmp_path: Path) -> None:
    """A huge file is refused with its size and what to do, not chewed on."""
    text = "services:\n" + "".join(
        f"  s{i}: {{image: local/host, command: [echo, '{'x' * 80}']}}\n" for i in range(90000)
    )
    (tmp_path / "stack.yaml").write_text(text)
    assert len(text) > 10_000_000
    begun = time.monotonic()
    done = nobody.orch("apply", "-f", "stack.yaml", cwd=tmp_path).expect(2)
    assert time.monotonic() - begun < 5
    assert "stack.yaml:1:1: the file has" in done.err


def test_deep_nesting_is_refused(nobody: Daemon, tmp_path: Path) -> None:
    """100,000 brackets are an error with a place, not a crash."""
    (tmp_path / "stack.yaml").write_text("services: " + "[" * 100_000 + "\n")
    done = nobody.orch("apply", "-f", "stack.yaml", cwd=tmp_path).expect(2)
    assert done.err.startswith("stack.yaml:1:")


def test_files_that_are_not_there_or_not_files(nobody: Daemon, tmp_path: Path) -> None:
    """A missing file, an empty directory, no file at all: exit 2 and what to do."""
    assert nobody.orch("apply", "-f", "none.yaml", cwd=tmp_path).expect(2).err.startswith("none.yaml: cannot read")
    (tmp_path / "empty").mkdir()
    assert "empty" in nobody.orch("apply", "-f", "empty", cwd=tmp_path).expect(2).err
    assert "give -f FILE" in nobody.orch("apply", cwd=tmp_path).expect(2).err
    assert "the file is empty" in nobody.orch("apply", "-f", "-", cwd=tmp_path).expect(2).err


@pytest.mark.parametrize("words", [
    ["--timeout", "soon"], ["--dry-run", "maybe"], ["--output", "xml"], ["--no-such-option"], ["-l", "a=b"],
], ids=" ".join)  # fmt: skip
def test_bad_options(nobody: Daemon, tmp_path: Path, words: list[str]) -> None:
    """An option that makes no sense: exit 2, one line that names it and the help."""
    (tmp_path / "compose.yaml").write_text(service(""))
    done = nobody.orch("apply", *words, cwd=tmp_path).expect(2)
    assert done.err.startswith("orch apply: ")
    assert len(done.err.splitlines()) == 1
