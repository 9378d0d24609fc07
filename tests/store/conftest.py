import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests.contract.clusters is shared by several folders

from orchestr.store import LocalCluster
from tests.contract.clusters import local


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[LocalCluster]:
    async with local(tmp_path) as opened:
        yield opened
