"""The stand-in for `typing` makes the same named tuples."""

import typing
from typing import Any

import pytest

from orchestr.runtime.oci import forms


def made(base: Any) -> Any:
    class Point(base):  # type: ignore[misc]
        """A place."""

        x: int
        y: int = 2
        names: tuple[str, ...] = ()

        @property
        def sum(self) -> int:
            return int(self.x + self.y)

        @classmethod
        def origin(cls) -> Any:
            return cls(0, y=0)

    return Point


@pytest.fixture(params=[forms.NamedTuple, typing.NamedTuple], ids=["ours", "typing"])
def point(request: pytest.FixtureRequest) -> Any:
    """Each test holds for both."""
    return made(request.param)


def test_values_by_place_and_by_name(point: Any) -> None:
    assert point(1) == point(x=1, y=2) == (1, 2, ())
    assert point(1, 3).sum == 4
    assert point.origin() == (0, 0, ())
    assert point.__doc__ == "A place."
    assert point._fields == ("x", "y", "names")


def test_changed_and_shown(point: Any) -> None:
    assert point(1)._replace(y=5) == (1, 5, ())
    assert isinstance(point(1)._replace(y=5), point)
    assert point(1)._asdict() == {"x": 1, "y": 2, "names": ()}


@pytest.mark.parametrize("wrong", [((), {}), ((1, 2, 3, 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1})])
def test_what_does_not_fit_is_refused(point: Any, wrong: Any) -> None:
    args, named = wrong
    with pytest.raises((TypeError, KeyError)):
        point(*args, **named)


def test_fields_cannot_be_set(point: Any) -> None:
    with pytest.raises(AttributeError):
        point(1).x = 2
    with pytest.raises(AttributeError):
        point(1).other = 2
