"""Signals to pods, and what runs in them: paths of orch's own."""

import pytest

from orchestr.server.inpod import Place, place


def test_the_paths() -> None:
    assert place("namespaces/shop/pods/web-1/signal") == Place("shop", "web-1", "signal")
    assert place("namespaces/shop/pods/web-1/processes") == Place("shop", "web-1", "processes")


@pytest.mark.parametrize(
    "path", ["apply", "namespaces/shop/pods/web-1", "namespaces/shop/pods/web-1/log", "a/b/c/d/signal"]
)
def test_other_paths(path: str) -> None:
    assert place(path) is None
