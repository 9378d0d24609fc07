"""No path inside a container is a string to us: where a launch names one, it stands beside a descriptor.

The kernel resolves it below that descriptor in one call, openat2(2) with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS, and
what is made or mounted there is told by descriptor again. The golden plans are launches as engines and we ask for them.
"""

import ast
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

RUNTIME = Path(__file__).parents[2] / "orchestr/runtime"
GOLDEN = sorted(Path(__file__).with_name("golden").glob("*.txt"))
OURS = re.compile(
    r'AT_FDCWD, "(/|/proc/self/\w+|/dev)"'
)  # the machine's: its root, the child's /proc, where volumes are staged
BY_NAME = {
    "open", "os.open", "os.stat", "os.lstat", "os.access", "os.readlink", "os.listdir", "os.walk", "os.makedirs",
    "os.mkdir", "os.unlink", "os.remove", "os.chmod", "os.chown", "os.symlink", "os.rename", "os.mknod",
    "os.path.exists", "os.path.isdir", "os.path.join", "os.path.realpath", "shutil.rmtree", "Path",
}  # fmt: skip


def before_pivot(page: Path) -> list[str]:
    """What the container's process does while the machine's mounts are there, below "inside:"."""
    _, _, inside = page.read_text().partition("\ninside")
    return list(takewhile(lambda line: "pivot_root" not in line, inside.splitlines()))


@pytest.mark.parametrize("page", GOLDEN, ids=lambda page: page.stem)
def test_the_child_resolves_no_path_from_where_it_is(page: Path) -> None:
    steps = before_pivot(page)
    assert [line for line in steps if "AT_FDCWD" in line and not OURS.search(line)] == []
    opened = [line for line in steps if re.search(r"\bopenat2\(", line)]
    assert opened, "the plan is one"
    for line in opened:
        assert "RESOLVE_IN_ROOT" in line, line
        assert "RESOLVE_NO_MAGICLINKS" in line, line


@pytest.mark.parametrize("page", GOLDEN, ids=lambda page: page.stem)
def test_what_is_mounted_is_mounted_on_a_descriptor(page: Path) -> None:
    attached = [line for line in before_pivot(page) if "move_mount(" in line]
    assert attached
    for line in attached:
        assert re.search(r'move_mount\(\w+, "", \w+, "", ', line) or OURS.search(line), line


def calls(tree: ast.AST) -> Iterator[str]:
    return (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))


@pytest.mark.parametrize("module", ["launch", "targets", "steps", "native", "forked", "spawn", "plan"])
def test_steps_are_made_without_a_look_at_a_file_by_name(module: str) -> None:
    assert set(calls(ast.parse((RUNTIME / f"{module}.py").read_text()))) & BY_NAME == set()


def test_no_name_is_joined_to_a_containers_root() -> None:
    """Not "{rootfs}/etc/passwd": that is resolved without a fence, and a link in it leads to the machine."""
    found = [
        f"{path.name}:{node.lineno}"
        for path in RUNTIME.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.JoinedStr) and re.match(r"f['\"]\{(\w+\.)*root(fs|_path)?\}/[^'\"]", ast.unparse(node))
        and path.parent.name != "oci"  # there `root` is the directory of states
    ]  # fmt: skip
    assert found == []


def test_who_has_threads_does_not_fork_python() -> None:
    """os.fork copies locks that no thread of the child will release (python/cpython#109767)."""
    forking = {
        str(path.relative_to(RUNTIME.parent))
        for path in RUNTIME.parent.rglob("*.py")
        if "os.fork" in calls(ast.parse(path.read_text()))
    }
    ours = {path for path in forking if not path.startswith("runtime/")}
    assert len(forking) > len(ours)  # supervisor and orch-oci, of one thread each (e2e/security/test_agent.py)
    assert ours == {"images/build/worker.py"}  # a process of its own that starts no thread
