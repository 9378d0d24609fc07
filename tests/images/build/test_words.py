"""Variables, quotes and escapes in words, against the shell where the shell has the same."""

import shlex
import subprocess
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.images.build.words import BadWord, expand, pairs, split

SCOPE = {"a": "one", "empty": "", "path": "dir/sub/file.tar.gz"}
CASES = [
    "$a", "${a}", "x${a}y", "'$a'", '"$a"', "\\$a", "${none:-d}", "${empty:-d}", "${empty-d}", "${none-d}", "${a:+d}",
    "${empty:+d}", "${empty+d}", "${none:-${a}}", "${none:-'$a'}", "${path#*/}", "${path##*/}", "${path%.*}",
    "${path%%.*}", "\"a b\"'c d'", '"\\""', "a\\ b", "${none:-\"x y\"}",
]  # fmt: skip


@pytest.mark.parametrize("word", CASES)
def test_words_are_what_the_shell_makes_of_them(word: str) -> None:
    told = subprocess.run(["sh", "-c", f"printf %s {word}"], env=SCOPE, capture_output=True, text=True, check=True)
    assert expand(word, SCOPE) == told.stdout


def test_replacing() -> None:
    assert expand("${path/sub/x} ${path//\\//-} ${a//[on]/}", SCOPE) == "dir/x/file.tar.gz dir-sub-file.tar.gz e"


@pytest.mark.parametrize("word", ["${a", "${}", '"a', "'a", "${none:?must be}", "${none?}"])
def test_what_cannot_be_read_is_refused(word: str) -> None:
    with pytest.raises(BadWord):
        expand(word, SCOPE)


def test_pairs_come_in_a_row_or_as_the_rest_of_the_line() -> None:
    assert pairs("a=b \"c d\"='e f' g=h\\ i") == [("a", "b"), ('"c d"', "'e f'"), ("g", "h\\ i")]
    assert pairs("key  the rest = of it") == [("key", "the rest = of it")]
    with pytest.raises(BadWord):
        pairs("a=b c")


@given(
    st.lists(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1), max_size=5)
)
def test_quoted_words_come_back(words: list[str]) -> None:
    line = " ".join(shlex.quote(word) for word in words)
    assert [expand(word, {}) for word in split(line)] == words


@given(st.text())
def test_any_word_is_expanded_or_refused(word: str) -> None:
    with suppress(BadWord):
        assert "\0" in word or "\0" not in expand(word, SCOPE)
