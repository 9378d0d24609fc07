import os
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # pytest's importlib mode does not

from e2e.network.world import Machine

_numbers = count()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with nothing on it but a started data plane; everything is gone afterwards."""
    if os.geteuid():
        pytest.skip("needs root")
    with Machine(tmp_path, f"t{os.getpid() % 100000}{next(_numbers)}"[:10]) as machine:
        yield machine
