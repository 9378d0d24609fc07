from pathlib import Path

from orchestr.api.matrix import lines

PAGE = Path(__file__).parents[2] / "docs" / "kubernetes.md"


def test_the_support_matrix_is_fresh() -> None:
    assert PAGE.read_text() == "\n".join(lines()) + "\n", "run python -m orchestr.api.matrix > docs/kubernetes.md"
