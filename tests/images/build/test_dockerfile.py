"""Dockerfiles as instructions: the reference's rules on lines, flags, JSON and here-documents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.images.build.dockerfile import NAMES, Instruction, parse
from orchestr.images.build.seam import BuildError


def names(text: str) -> list[str]:
    return [each.name for each in parse(text).instructions]


def last(text: str) -> Instruction:
    return parse(text).instructions[-1]


def test_lines_go_on_after_the_escape_and_comments_among_them_are_left_out() -> None:
    found = last("FROM a\nRUN one \\\n  # a comment\n\n  && two \\\n  && three\n")
    assert (found.text, found.line) == ("one   && two   && three", 2)


def test_directives_stand_at_the_top_and_one_of_them_changes_the_escape() -> None:
    found = last("# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN c:\\ `\n  next\n")
    assert found.text == "c:\\   next"
    assert last("# a comment\n# escape=`\nFROM a\nRUN x `\n").text == "x `"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM a\nCOPPY b c", "Dockerfile:2: unknown instruction COPPY (did you mean COPY?)"),
        (
            "FROM a\nRUN --mont=type=cache x",
            "Dockerfile:2: RUN: unknown flag --mont=type=cache (did you mean --mount?)",
        ),
        ("FROM a\n\nCOPY <<EOF /b\ntext\n", "Dockerfile:3: COPY: the here-document EOF does not end"),
        ("# escape=x\nFROM a", "Dockerfile:1: escape=x is neither"),
        ("# escape=`\n# escape=`\nFROM a", "Dockerfile:2: directive escape is given twice"),
        ("# nothing\n", "Dockerfile:1: has no instructions"),
        ("FROM a\nRUN", "Dockerfile:2: RUN: has nothing after it"),
    ],
)
def test_errors_name_file_and_line(text: str, message: str) -> None:
    with pytest.raises(BuildError) as error:
        parse(text)
    assert message in str(error.value)


def test_flags_come_before_the_words_and_may_be_quoted() -> None:
    found = last('FROM a\nCOPY --from=b --chown="x y" --link c --d /e')
    assert found.flags == (("from", "b"), ("chown", "x y"), ("link", "true"))
    assert found.text == "c --d /e"


def test_words_in_json_are_taken_as_they_are_and_what_is_no_json_is_for_the_shell() -> None:
    assert last('FROM a\nCMD ["a b", "$c"]').words == ("a b", "$c")
    assert last("FROM a\nCMD [ -f x ] && y").words is None


def test_here_documents_follow_in_their_order() -> None:
    found = last("FROM a\nCOPY <<one <<-'two' /x/\n$1\none\n\t\t$2\n\ttwo\n")
    assert [(each.name, each.content, each.expand) for each in found.heredocs] == [
        ("one", "$1\n", True),
        ("two", "$2\n", False),
    ]


def test_a_shift_and_a_here_string_are_no_here_documents() -> None:
    assert not last('FROM a\nRUN echo $((1<<2)); cat <<< "x"').heredocs


def test_what_a_here_document_holds_is_no_instruction() -> None:
    assert names("FROM a\nRUN <<EOF\nFROM b\n# c\nEOF\nCMD x\n") == ["FROM", "RUN", "CMD"]


def test_maintainer_is_told_to_be_old() -> None:
    assert parse("FROM a\nMAINTAINER me\n").warnings == (
        "Dockerfile:2: MAINTAINER is deprecated (write LABEL maintainer=...)",
    )


plain = st.text(
    st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp"), blacklist_characters="\\<#[\x85"), min_size=1
)


@given(
    st.lists(st.tuples(st.sampled_from([name for name in NAMES if name != "ONBUILD"]), plain), min_size=1, max_size=6)
)
def test_every_instruction_is_found_with_its_line_and_text(lines: list[tuple[str, str]]) -> None:
    lines = [(name, f"x{text.strip()}") for name, text in lines]
    found = parse("".join(f"\n{name.lower()} {text}\n" for name, text in lines)).instructions
    assert [(each.name, each.text, each.line) for each in found] == [
        (name, text, 2 * at) for at, (name, text) in enumerate(lines, 1)
    ]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        found = parse(text).instructions
    except BuildError as error:
        told = str(error)
    else:
        told = "Dockerfile:" if found else ""
    assert told.startswith("Dockerfile:")
