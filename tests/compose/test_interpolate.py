import contextlib

import pytest
from hypothesis import given
from hypothesis.strategies import text

from orchestr.manifest.compose.interpolate import InterpolationError, substitute

SET = {"A": "a", "EMPTY": "", "B": "b"}


def fill(template: str) -> tuple[str, list[str]]:
    unset: list[str] = []
    return substitute(template, SET, unset.append), unset


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("$A-${A}", "a-a"),
        ("$$A $$$$", "$A $$"),
        ("${X:-d} ${EMPTY:-d} ${A:-d}", "d d a"),
        ("${X-d}|${EMPTY-d}|${A-d}", "d||a"),
        ("${X:+y}|${EMPTY:+y}|${A:+y}", "||y"),
        ("${X+y}|${EMPTY+y}|${A+y}", "|y|y"),
        ("${X:-${Y:-${B}}}", "b"),
        ("${X:-a}b}", "ab}"),
        ("${A:?msg}", "a"),
        ("$2a$10$hash $(date) $", "$2a$10 $(date) $"),
        ("${X:-$$5}", "$5"),
    ],
)
def test_every_form(template: str, filled: str) -> None:
    assert fill(template.replace("$hash", ""))[0] == filled


def test_unset_variables_are_told_and_unused_defaults_are_not() -> None:
    assert fill("$X ${Y} ${A:-$Z} ${Q:-$R}") == ("  a ", ["X", "Y", "R"])


@pytest.mark.parametrize("template", ["${", "${}", "${A", "${1A}", "${A:-b", "${A!b}", "${X:?}", "${EMPTY:?needed}"])
def test_what_cannot_be_filled_in_is_an_error(template: str) -> None:
    with pytest.raises(InterpolationError):
        fill(template)


@given(text())
def test_a_doubled_dollar_is_always_the_way_out(anything: str) -> None:
    assert fill(anything.replace("$", "$$")) == (anything, [])


@given(text(alphabet="${}A:-?+ x"))
def test_any_text_is_filled_in_or_refused(anything: str) -> None:
    with contextlib.suppress(InterpolationError):
        fill(anything)
