"""manifests/shop: nginx, a Python API, real Redis with a volume, a worker, a migration; the image made from packages.

Making the image takes most of a minute, so it is kept in CACHE for a week; remove that to see it made again.
"""

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import eventually, kill
from e2e.conftest import evidence, failed
from e2e.daemon import Daemon
from e2e.project import Project

FILE = Path(__file__).parents[1] / "manifests/shop/compose.yaml"
CACHE = Path("/var/cache/orch-e2e/shop.tar")
WEEK = 7 * 86400
PACKAGES = ("redis-server", "nginx-light", "python3")
URL = "http://127.0.0.1:8088"


@pytest.fixture(scope="module")
def image(shared: Daemon) -> None:
    """The image `shop`, by `orch image bootstrap` or from an archive that `orch image save` made of it."""
    if CACHE.exists() and time.time() - CACHE.stat().st_mtime < WEEK:
        shared.orch("image", "load", str(CACHE)).expect()
        return
    words = [word for package in PACKAGES for word in ("--package", package)]
    made = shared.orch("image", "bootstrap", "shop", "--suite", "bookworm", *words, timeout=280).expect()
    assert "shop:latest sha256:" in made.out
    assert len(made.err.splitlines()) > 5, "progress is told as it happens"
    CACHE.parent.mkdir(exist_ok=True)
    fresh = CACHE.with_suffix(f".{os.getpid()}")
    shared.orch("image", "save", "shop", "-o", str(fresh)).expect()
    fresh.rename(CACHE)


@pytest.fixture
def shop(shared: Daemon, image: None, request: pytest.FixtureRequest) -> Iterator[Project]:
    made = Project(shared, FILE.parent, "shop")
    made.orch("apply", "--timeout", "60s").expect()
    yield made
    if failed(request):
        evidence(request, shared, "shop")
    made.clear()


def visit() -> int:
    with urllib.request.urlopen(URL, timeout=5) as answer:
        return int(json.loads(answer.read())["visits"])


def answers() -> int:
    try:
        return visit()
    except OSError as error:
        raise AssertionError(str(error)) from error


def test_the_shop_answers_through_its_port_and_keeps_its_networks(shop: Project) -> None:
    """The published port leads through nginx to the API to Redis; nginx itself cannot reach Redis."""
    assert visit() == 1
    assert visit() == 2
    reach = "import socket; socket.create_connection(('redis', 6379), 2)"
    assert shop.exec("api", "python3", "-c", reach).code == 0
    assert shop.exec("web", "python3", "-c", reach).code != 0
    assert shop.logs("migrate")
    assert shop.orch("status", "-n", "shop").expect().lines[1].split()[:3] == ["stack/shop", "5/5", "Ready"]


def started(pod: dict[str, Any]) -> str:
    """When its container started, "" while it does not run."""
    states = [status["state"] for status in pod["status"].get("containerStatuses", [])]
    return next((str(state["running"]["startedAt"]) for state in states if "running" in state), "")


def test_redis_killed_heals_with_its_data_and_in_order(shop: Project) -> None:
    """kill -9 of Redis: its successor has the data, and API and worker, which said restart: true, start after it."""
    before, pid = visit(), shop.pid("redis")
    kill(pid)
    eventually(lambda: shop.pid("redis") != pid)

    def followed() -> bool:
        up = started(shop.pod("redis"))
        return bool(up) and all(started(pod) >= up for name in ("api", "worker") for pod in shop.pods(name))

    eventually(followed, within=40)
    shop.orch("wait", "stack/shop", "-n", "shop", "--for", "ready", "--timeout", "40s").expect()
    assert eventually(answers, within=20) > before


def test_more_of_the_api_share_the_visits(shop: Project) -> None:
    """Three replicas: visits reach each of them; the count goes on as one."""
    shop.orch("scale", "api=3").expect()

    def seen() -> bool:
        with urllib.request.urlopen(URL, timeout=5) as answer:
            pods.add(json.loads(answer.read())["pod"])
        return len(pods) == 3

    pods: set[str] = set()
    eventually(seen)
