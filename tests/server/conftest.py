from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.daemon import Daemon, daemon


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with daemon(str(tmp_path)) as running:
        yield running
