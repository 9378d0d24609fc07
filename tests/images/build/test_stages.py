"""Which stages are needed, and what they wait for."""

import pytest

from orchestr.images.build.dockerfile import parse
from orchestr.images.build.seam import BuildError
from orchestr.images.build.stages import Plan, plan


def planned(text: str, target: str = "", **given: str) -> Plan:
    return plan(parse(text).instructions, given, {"TARGETARCH": "amd64"}, target)


BRANCHES = """
FROM base AS one
FROM one AS two
FROM base AS three
COPY --from=two /a /a
RUN --mount=type=bind,from=four,target=/x true
FROM scratch AS four
FROM base
COPY --from=2 /a /a
"""


def test_only_what_the_target_needs_is_built() -> None:
    assert planned(BRANCHES).needed == {0, 1, 2, 3, 4}
    assert planned(BRANCHES, "two").needed == {0, 1}
    assert planned(BRANCHES, "four").needed == {3}
    assert planned(BRANCHES).stages[2].waits == {1, 3}


def test_arguments_before_from_name_its_image() -> None:
    made = planned("ARG V=1\nARG NAME=x$V\nFROM $NAME-$TARGETARCH", NAME="y")
    assert (made.stages[0].base, made.globals["V"]) == ("y-amd64", "1")


def test_a_stage_of_its_images_name_begins_with_the_image() -> None:
    made = planned("FROM app AS app\nFROM app")
    assert [stage.above for stage in made.stages] == [None, 0]


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("FROM a AS x\nCOPY --from=y b c\nFROM a AS y\nCOPY --from=x b c", "", "wait for each other: x -> y -> x"),
        ("FROM a AS x\nCOPY --from=x b c", "", "wait for each other: x -> x"),
        ("FROM a AS build", "bild", "there is no stage bild to build (did you mean build?)"),
        ("FROM a\nCOPY --from=3 b c", "", "Dockerfile:2: COPY: from 3: there is no such stage"),
        ("ENV a=b\nFROM a", "", "Dockerfile:1: ENV: stands before the first FROM"),
        ("ARG a", "", "there is no FROM"),
        ("FROM $none", "", "Dockerfile:1: FROM: $none is empty"),
        ("FROM a b", "", "write FROM IMAGE, or FROM IMAGE AS NAME"),
    ],
)
def test_what_cannot_be_built_is_told_with_its_place(text: str, target: str, message: str) -> None:
    with pytest.raises(BuildError) as error:
        planned(text, target)
    assert message in str(error.value)
