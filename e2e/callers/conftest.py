"""Skipped unless ORCH_PEERS says where Docker and Podman are."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.callers import engine
from e2e.callers.engine import IMAGE, PREFIX, Engine, there


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e/callers" in item.nodeid and not PREFIX:
            item.add_marker(
                pytest.mark.skip(
                    reason="no Docker and Podman (set ORCH_PEERS to a command that runs another one beside them)"
                )
            )


@pytest.fixture(scope="session")
def runtime() -> Iterator[str]:
    """The path of orch-oci where the engines are."""
    command = engine.install()
    try:
        yield command
    finally:
        engine.remove(command)


@pytest.fixture(scope="session")
def dockerd(runtime: str) -> Iterator[str]:
    with engine.docker_runtime(runtime):
        yield runtime


def _image(program: str) -> None:
    """A busybox without a registry."""
    if there(program, "image", "inspect", IMAGE).code == 0:
        return
    script = (
        "set -e; d=$(mktemp -d); mkdir $d/bin; cp /bin/busybox $d/bin/;"
        "for a in $(busybox --list); do test $a = busybox || ln -s busybox $d/bin/$a; done;"
        f'tar -c -C $d . | {program} import -c \'CMD ["/bin/sleep","100000"]\' - {IMAGE}; rm -rf $d'
    )
    done = there("sh", "-c", script)
    assert done.code == 0, done.err


@contextmanager
def _engine(program: str, runtime: str) -> Iterator[Engine]:
    _image(program)
    found = Engine(program, runtime)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(params=["docker", "podman"])
def caller(request: pytest.FixtureRequest, runtime: str) -> Iterator[Engine]:
    """Each engine in turn."""
    if request.param == "docker":
        request.getfixturevalue("dockerd")
    with _engine(request.param, runtime) as found:
        yield found


@pytest.fixture
def docker(dockerd: str) -> Iterator[Engine]:
    with _engine("docker", dockerd) as found:
        yield found


@pytest.fixture
def podman(runtime: str) -> Iterator[Engine]:
    with _engine("podman", runtime) as found:
        yield found
