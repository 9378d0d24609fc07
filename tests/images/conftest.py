import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # pytest's importlib mode does not

from orchestr.images.store import Images


@pytest.fixture
def images(tmp_path: Path) -> Images:
    if os.geteuid() != 0:
        pytest.skip("needs root: layers are unpacked in namespaces of their own")
    return Images(str(tmp_path / "images"))
