"""The daemon on FakeRuntime that the API's measurements use: Deployments become running pods, and go."""

import os

import pytest

from bench.measure import api
from bench.served import served


@pytest.mark.skipif(os.geteuid() != 0, reason="the measurements need root, and a folder in /run")
def test_deployments_run_and_go() -> None:
    with served() as daemon:
        made, ran = api.once(daemon, 2)
    assert 0 < made <= ran
