"""What .dockerignore leaves out of the context, and what else of a directory never gets into it."""

import io
import os
import socket
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.images.build import context
from orchestr.images.build.patterns import Patterns, read
from orchestr.images.build.seam import BuildError


@pytest.mark.parametrize(
    ("text", "out", "kept"),
    [
        ("*/temp*", ["a/temporary", "a/temp/below"], ["temp", "a/b/temp"]),
        ("*/*/temp*", ["a/b/temporary.txt"], ["a/temp", "temp"]),
        ("temp?", ["tempa", "tempb/below"], ["temp", "tempab"]),
        ("/folder/", ["folder", "folder/below/it"], ["a/folder", "folders"]),
        ("./a//b", ["a/b"], ["a", "b"]),
        ("**/*.go", ["x.go", "a/x.go", "a/b/x.go"], ["x.goo", "go"]),
        ("a/**", ["a/b", "a/b/c"], ["b"]),
        ("a/**/z", ["a/z", "a/b/c/z"], ["a", "z"]),
        ("*.md\n!README.md", ["x.md"], ["README.md", "a/x.md"]),
        ("*.md\n!README*.md\nREADME-secret.md", ["README-secret.md"], ["README-x.md"]),
        ("*.md\nREADME-secret.md\n!README*.md", ["x.md"], ["README-secret.md"]),
        ("a\n!a/kept", ["a", "a/other"], ["a/kept", "a/kept/below"]),
        ("!a/kept\na", ["a/kept"], ["b"]),
        ("[a-c]x\n[^a-c]y", ["ax", "dy"], ["dx", "ay"]),
        ("# a comment\n\n \n\\#named", ["#named"], ["# a comment", "a"]),
        (r"a\*b", ["a*b"], ["axb"]),
        ("*", ["a", "a/b"], []),
    ],
)
def test_the_last_rule_that_matches_a_path_or_one_above_it_counts(text: str, out: list[str], kept: list[str]) -> None:
    rules = read(text)
    assert [path for path in out + kept if rules.match(path)] == out


parts = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0*?[\\!#", exclude_categories=("Cc", "Z", "Cs")), min_size=1
)
paths = st.lists(parts.filter(lambda part: part not in (".", "..")), min_size=1, max_size=4).map("/".join)


@given(paths, paths)
def test_a_plain_name_leaves_out_itself_and_all_below(rule: str, path: str) -> None:
    rules = Patterns([rule])
    assert rules.match(rule)
    assert rules.match(f"{rule}/{path}")
    assert rules.match(path) == (path == rule or path.startswith(f"{rule}/"))
    assert not Patterns([rule, f"!{rule}"]).match(f"{rule}/{path}")


@pytest.mark.parametrize("text", ["a[", "a\\", "[b-a]"])
def test_a_pattern_that_is_none_is_told_with_its_file(tmp_path: Path, text: str) -> None:
    (tmp_path / ".dockerignore").write_text(text)
    with pytest.raises(BuildError, match=r"cannot read .*\.dockerignore: "):
        context.ignored(str(tmp_path), str(tmp_path / "Dockerfile"))


def test_the_archive_has_what_is_kept_and_its_own_ignore_file_goes_first(tmp_path: Path) -> None:
    """DOCKERFILE.dockerignore beside the Dockerfile is read in the place of .dockerignore; links stay links."""
    for name in ("keep/a", "keep/secret", "out/b", "out/kept/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "keep/link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "keep/fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "keep/s"))
    (tmp_path / ".dockerignore").write_text("*")
    (tmp_path / "Dockerfile.dockerignore").write_text("out\n!out/kept\n**/secret\n*ocker*\n.docker*\n")
    written = io.BytesIO()
    context.write(str(tmp_path), context.ignored(str(tmp_path), str(tmp_path / "Dockerfile")), written)
    written.seek(0)
    with tarfile.open(fileobj=written) as archive:
        members = {member.name: member for member in archive}
    assert members.keys() == {"keep", "keep/a", "keep/link", "out/kept", "out/kept/c"}
    assert members["keep/link"].linkname == "/etc/passwd"
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}
