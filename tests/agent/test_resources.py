"""Requests and limits as the runtime gets them."""

import pytest

from orchestr.agent.resources import linux_resources
from orchestr.api.container import ResourceRequirements
from orchestr.api.core import Container


@pytest.mark.parametrize(
    ("requests", "limits", "shares"),
    [
        ({"cpu": "500m"}, {}, 512),
        ({}, {"cpu": "2"}, 2048),
        ({"cpu": "1m"}, {}, 2),
        ({"cpu": "0"}, {"cpu": "2"}, None),  # a Compose limit without a reservation: competes as everybody else
        ({}, {}, None),
    ],
)
def test_shares(requests: dict[str, str], limits: dict[str, str], shares: int | None) -> None:
    container = Container(name="c", image="i", resources=ResourceRequirements(requests=requests, limits=limits))
    assert linux_resources(container).get("cpu", {}).get("shares") == shares
