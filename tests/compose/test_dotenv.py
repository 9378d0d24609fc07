import contextlib

import pytest
from hypothesis import given
from hypothesis.strategies import text

from orchestr.manifest.compose.dotenv import EnvFileError, parse


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("A=b\nC = d\n", {"A": "b", "C": "d"}),
        ("export A=b", {"A": "b"}),
        ("# c\n\nA=b # comment\nB=x#y\nC=#z\n", {"A": "b", "B": "x#y", "C": "#z"}),
        ("A='$X ${Y} \\n'", {"A": "$X ${Y} \\n"}),
        ('A="x\\ty\\n\\"q\\" \\$X $$Y"', {"A": 'x\ty\n"q" $X $Y'}),
        ('A="one\ntwo"\nB=3', {"A": "one\ntwo", "B": "3"}),
        ("A=1\nB=${A}2\nC=$OUT", {"A": "1", "B": "12", "C": "out"}),
        ("OUT=inner\nB=$OUT", {"OUT": "inner", "B": "out"}),
        ("OUT\nMISSING\n", {"OUT": "out"}),
        ("A: b\n", {"A": "b"}),
        ("A=\r\nB=x\r\n", {"A": "", "B": "x"}),
        ("\ufeffA=b", {"A": "b"}),
        ("A=b=c", {"A": "b=c"}),
        ("  A=  spaced out  \n", {"A": "spaced out"}),
    ],
)
def test_as_compose_reads_it(file: str, expected: dict[str, str]) -> None:
    assert parse(file, {"OUT": "out"}) == expected


def test_raw_takes_every_value_as_it_stands() -> None:
    assert parse("A='$X' # y\n", {}, raw=True) == {"A": "'$X' # y"}


@pytest.mark.parametrize(("file", "line"), [("A=b\n!x\n", 2), ("A=b\nB='c\n", 2), ('A="b" c\n', 1), ("A=${\n", 1)])
def test_a_bad_line_is_told_by_number(file: str, line: int) -> None:
    with pytest.raises(EnvFileError) as caught:
        parse(file, {})
    assert caught.value.line == line


@given(text())
def test_any_text_is_read_or_refused(file: str) -> None:
    with contextlib.suppress(EnvFileError):
        assert isinstance(parse(file, {}), dict)
