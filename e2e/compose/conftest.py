"""One daemon for all scenarios of this folder: each has a project of its own."""

from collections.abc import Iterator

import pytest

from e2e.conftest import Host, run
from e2e.daemon import Daemon


@pytest.fixture(scope="package")
def shared(host: Host, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    yield from run(host, request)
