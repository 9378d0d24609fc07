from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.api.quantity import SUFFIXES, QuantityError, binary, decimal, milli, parse, whole


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100m", "0.1"),
        ("1Gi", 2**30),
        ("1.5", "1.5"),
        ("12e6", 12_000_000),
        ("1E", 10**18),
        (".5", "0.5"),
        ("-2k", -2000),
    ],
)
def test_a_quantity_has_an_exact_value(text: str, value: str | int) -> None:
    assert parse(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "1 Gi", "Gi", "1gb", "0x10", "1.2.3", "١", "1e999"])
def test_what_is_no_quantity_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(QuantityError, match="64Mi"):
        parse(text)


def test_fractions_round_up() -> None:
    assert (milli("0.0001"), whole("1500m"), milli("2")) == (1, 2, 2000)


@given(st.integers(0, 2**60))
def test_bytes_survive_formatting(value: int) -> None:
    assert whole(binary(value)) == value


@given(st.integers(0, 10**9))
def test_thousandths_survive_formatting(value: int) -> None:
    assert milli(decimal(Decimal(value) / 1000)) == value


@given(st.integers(0, 10**6), st.sampled_from(sorted(SUFFIXES)))
def test_every_suffix_scales(number: int, suffix: str) -> None:
    assert parse(f"{number}{suffix}") == number * SUFFIXES[suffix]
