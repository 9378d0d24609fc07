import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests.server.daemon is shared by several files and folders

from tests.server.daemon import Daemon, daemon
from tests.server.secured import Secured, secured


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with daemon(str(tmp_path)) as running:
        yield running


@pytest.fixture
async def https(tmp_path: Path) -> AsyncIterator[Secured]:
    async with secured(str(tmp_path)) as running:
        yield running
