"""Fixtures as a ladder: host, daemon (or the module's shared one), project, stack_applied, stack_ready.

    host            what the machine held before; at the end of the run no instance of ours may have left anything
    daemon          an instance of a test's own, started; stopped with --all --purge, and nothing of it is left
    shared          the same for a whole module: most scenarios need a project of their own, not a daemon
    project         a directory, a Compose file and a namespace of a test's own on the shared daemon
    stack_applied   a project with the hello stack applied, `apply` having returned
    stack_ready     the same, with every container's first process at work

After a failure e2e/failures/TEST/ holds status, objects, events and logs. ORCH_KEEP=1 keeps the failed instance.
"""

import os
import re
import shutil
import sys
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # pytest's importlib mode does not

from e2e.checks import eventually, leftovers
from e2e.daemon import Daemon
from e2e.project import Project

FAILURES = Path(__file__).parent / "failures"
FAILED = pytest.StashKey[bool]()
HELLO = """
    services:
      web:
        image: local/host
        command: [python3, -u, -m, http.server, "8000"]
        restart: always
        stop_grace_period: 0s
      worker:
        image: local/host
        command: [sh, -c, "echo hello from worker; echo a complaint >&2; exec sleep infinity"]
        restart: always
        stop_grace_period: 0s
        depends_on: [web]
"""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Forgets what earlier runs left to look at, once, where xdist has several processes."""
    if not hasattr(session.config, "workerinput"):
        shutil.rmtree(FAILURES, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remembers a failure where fixtures find it."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
        item.session.stash[FAILED] = True
    return report


def failed(request: pytest.FixtureRequest) -> bool:
    return bool(request.node.stash.get(FAILED, False))


def evidence(request: pytest.FixtureRequest, daemon: Daemon, namespace: str = "") -> None:
    name = re.sub(r"[^\w.-]+", "-", request.node.nodeid.removeprefix("e2e/"))
    if (FAILURES / name).exists():
        return  # taken before the project was cleared
    daemon.evidence(FAILURES / name, namespace)
    print(f"instance {daemon.name}: see {FAILURES / name}", file=sys.stderr)


def kept(request: pytest.FixtureRequest) -> bool:
    return bool(os.environ.get("ORCH_KEEP")) and bool(request.session.stash.get(FAILED, False))


class Host:
    """The machine. Remembers every instance that the run made."""

    def __init__(self) -> None:
        self.daemons: list[Daemon] = []

    def daemon(self) -> Daemon:
        self.daemons.append(Daemon())
        return self.daemons[-1]

    def leaks(self) -> list[str]:
        return [line for daemon in self.daemons for line in leftovers(daemon.name, daemon.links)]


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    made = Host()
    yield made
    if not os.environ.get("ORCH_KEEP"):
        leaks = made.leaks()
        assert not leaks, "left on this machine by the run:\n" + "\n".join(leaks)


def run(host: Host, request: pytest.FixtureRequest, registries: Path | None = None) -> Iterator[Daemon]:
    daemon = host.daemon()
    daemon.registries = registries or daemon.registries
    try:
        daemon.start()
        yield daemon
        if failed(request) and request.scope == "function":
            evidence(request, daemon)
    finally:
        if kept(request):
            print(f"kept: ORCH_INSTANCE={daemon.name} orch status -A", file=sys.stderr)
        else:
            daemon.finish()


@pytest.fixture
def daemon(host: Host, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    yield from run(host, request)


@pytest.fixture(scope="module")
def shared(host: Host, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    yield from run(host, request)


@pytest.fixture
def project(shared: Daemon, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    yield from on(shared, request, tmp_path)


@pytest.fixture
def own_project(daemon: Daemon, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    """A project on a daemon of the test's own: for tests that kill the daemon, or look at the whole instance."""
    yield from on(daemon, request, tmp_path)


def on(daemon: Daemon, request: pytest.FixtureRequest, folder: Path) -> Iterator[Project]:
    """A project whose directory bears its name, as a user's would."""
    name = f"p{uuid.uuid4().hex[:6]}"
    (folder / name).mkdir()
    made = Project(daemon, folder / name, name)
    yield made
    if failed(request):
        evidence(request, daemon, name)
    if not kept(request):
        made.clear()


@pytest.fixture
def stack_applied(project: Project) -> Project:
    project.apply(HELLO)
    return project


@pytest.fixture
def stack_ready(stack_applied: Project) -> Project:
    stack_applied.logged("hello from worker", "worker")
    eventually(lambda: stack_applied.pid("web"))
    return stack_applied
