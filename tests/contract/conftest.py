import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests.contract.clusters is shared by several folders

from orchestr.engine import Cluster
from tests.contract.clusters import CLUSTERS


@pytest.fixture(params=CLUSTERS)
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Each kind of cluster in turn, empty but for its built-in namespaces."""
    async with CLUSTERS[request.param](tmp_path) as opened:
        yield opened
