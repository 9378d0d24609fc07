"""Limits that Kubernetes has no field for, as annotations."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.compose.conftest import Loads

EXTRA, OOM_SCORE = "orchestr.dev/resources", "orchestr.dev/oom-score-adj"


def annotations(loads: Loads, keys: str) -> dict[str, Any]:
    read = loads(f"services: {{web: {{image: a, {keys}}}}}")
    found = dict(read.stack.spec.services["web"].annotations)
    return {**found, EXTRA: json.loads(found[EXTRA])} if EXTRA in found else found


@pytest.mark.parametrize(
    ("keys", "resources"),
    [
        ("cpuset: '0-2,4'", {"cpu": {"cpus": "0-2,4"}}),
        ("cpu_shares: 512, cpu_quota: 50000", {"cpu": {"shares": 512, "quota": 50000}}),
        ("cpu_period: 20ms", {"cpu": {"period": 20000}}),
        (
            "cpu_rt_runtime: 400ms, cpu_rt_period: 1000000",
            {"cpu": {"realtimeRuntime": 400_000, "realtimePeriod": 1_000_000}},
        ),
        ("mem_limit: 1m, memswap_limit: 3m", {"memory": {"swap": 3 << 20}}),
        ("memswap_limit: -1", {"memory": {"swap": -1}}),
        ("mem_swappiness: 0, oom_kill_disable: true", {"memory": {"swappiness": 0, "disableOOMKiller": True}}),
        (
            "device_cgroup_rules: ['c 1:3 mr', 'b 8:* r']",
            {
                "devices": [
                    {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "mr"},
                    {"allow": True, "type": "b", "major": 8, "access": "r"},
                ]
            },
        ),
        (
            "blkio_config: {weight: 300, device_read_bps: [{path: /dev/sda, rate: 12mb}]}",
            {"blockIO": {"throttleReadBpsDevice": [{"path": "/dev/sda", "rate": 12 << 20}], "weight": 300}},
        ),
    ],
)
def test_what_becomes_of_a_key(loads: Loads, keys: str, resources: dict[str, Any]) -> None:
    assert annotations(loads, keys)[EXTRA] == resources


def test_the_score_has_an_annotation_of_its_own(loads: Loads) -> None:
    assert annotations(loads, "oom_score_adj: -5") == {OOM_SCORE: "-5"}
    assert annotations(loads, "read_only: true") == {}


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("cpuset: all", "cannot read CPUs 'all'"),
        ("cpu_shares: 1", "not a number from 2 to 262144"),
        ("cpus: 1, cpu_quota: 5000", "cannot be combined with cpu_quota"),
        ("memswap_limit: 1m", "has no mem_limit beside it"),
        ("mem_limit: 2m, memswap_limit: 1m", "less than mem_limit"),
        ("mem_swappiness: 101", "not a number from 0 to 100"),
        ("oom_score_adj: 1001", "not a number from -1000 to 1000"),
        ("device_cgroup_rules: [all]", "'all' is no rule"),
        ("blkio_config: {weight: 5}", "not a number from 10 to 1000"),
        ("blkio_config: {device_read_bps: [{path: sda, rate: 1}]}", "'sda' is no device"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(refused: Callable[..., list[str]], keys: str, problem: str) -> None:
    told = refused(f"services: {{web: {{image: a, {keys}}}}}")
    assert any(problem in line for line in told), told
