"""What a PodDisruptionBudget allows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controllers.disruption import PATIENCE, status
from orchestr.api.disruption import PodDisruptionBudget, PodDisruptionBudgetStatus
from orchestr.api.pod import Pod

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pod(name: str, ready: bool = True) -> Pod:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return Pod.model_validate({"metadata": {"name": name}, "status": {"phase": "Running", "conditions": conditions}})


def budget(**spec: Any) -> PodDisruptionBudget:
    return PodDisruptionBudget.model_validate({"metadata": {"name": "b"}, "spec": spec})


CASES = [
    ({"minAvailable": 2}, 3, 3, 3, (1, 2, 3)),
    ({"minAvailable": 2}, 3, 2, 3, (0, 2, 3)),
    ({"minAvailable": "50%"}, 3, 3, 4, (1, 2, 4)),
    ({"maxUnavailable": 1}, 3, 3, 3, (1, 2, 3)),
    ({"maxUnavailable": 1}, 3, 2, 3, (0, 2, 3)),
    ({"maxUnavailable": "34%"}, 3, 3, 3, (2, 1, 3)),
    ({"maxUnavailable": 0}, 3, 3, 3, (0, 3, 3)),
    ({"minAvailable": 0}, 0, 0, 0, (0, 0, 0)),
]


@pytest.mark.parametrize(("spec", "count", "ready", "scale", "expected"), CASES)
def test_what_is_allowed(
    spec: dict[str, Any], count: int, ready: int, scale: int, expected: tuple[int, int, int]
) -> None:
    """(allowed, healthy at least, expected pods)"""
    found = status(budget(**spec), [pod(f"p{i}", i < ready) for i in range(count)], scale, NOW)
    assert (found.disruptions_allowed, found.desired_healthy, found.expected_pods) == expected


def test_an_evicted_pod_does_not_count_until_it_is_forgotten() -> None:
    pods = [pod("a"), pod("b")]
    before = budget(minAvailable=1).but(status=PodDisruptionBudgetStatus(disrupted_pods={"a": NOW, "gone": NOW}))
    found = status(before, pods, 2, NOW + timedelta(seconds=1))
    assert (found.current_healthy, found.disruptions_allowed, set(found.disrupted_pods)) == (1, 0, {"a"})
    later = status(before, pods, 2, NOW + PATIENCE)
    assert (later.current_healthy, later.disruptions_allowed, later.disrupted_pods) == (2, 1, {})
