"""`orch logs`: what containers printed, in order, across restarts."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from e2e.checks import eventually, kill
from e2e.conftest import on
from e2e.daemon import Daemon
from e2e.project import Project

TALKERS = """
    services:
      one:
        image: local/host
        restart: always
        stop_grace_period: 0s
        command:
          [sh, -c, "for i in 1 2 3 4 5; do echo one $$i; sleep 0.1; done; echo to stderr >&2; exec sleep infinity"]
      two:
        image: local/host
        restart: always
        stop_grace_period: 0s
        command:
          [sh, -c, "for i in 1 2 3 4 5; do echo two $$i; sleep 0.1; done; printf unfinished; exec sleep infinity"]
"""
RESTARTING = """
    services:
      again:
        image: local/host
        restart: always
        stop_grace_period: 0s
        command: [sh, -c, "echo run of $$(cat /proc/sys/kernel/random/uuid); exec sleep infinity"]
"""


@pytest.fixture(scope="module")
def talkers(
    shared: Daemon, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """Two services that have said all they will say."""
    for made in on(shared, request, tmp_path_factory.mktemp("talkers")):
        made.apply(TALKERS)
        made.logged("to stderr", "one")
        made.logged("two 5", "two")
        yield made


def test_one_service_has_all_its_lines_and_no_prefix(talkers: Project) -> None:
    """logs SERVICE prints the lines as they were written, standard error among them."""
    assert talkers.logs("one") == [*(f"one {i}" for i in range(1, 6)), "to stderr"]


def test_several_are_merged_by_time_with_their_names(talkers: Project) -> None:
    """Without a name all services, each line prefixed; ordered by time, which -t shows."""
    lines = talkers.logs()
    assert len(lines) == 12
    assert {line.partition(" | ")[0].split("-")[0] for line in lines} == {"one", "two"}
    stamps = [line.split(" | ")[1].split()[0] for line in talkers.logs("-t")]
    assert stamps == sorted(stamps)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", stamp) for stamp in stamps)
    order = [line.partition(" | ")[2] for line in lines]
    assert order.index("one 1") < order.index("two 3") < order.index("one 5") < order.index("to stderr")


def test_no_log_prefix_leaves_the_names_out(talkers: Project) -> None:
    """--no-log-prefix prints bare lines of all services."""
    assert sorted(talkers.logs("--no-log-prefix"))[0] == "one 1"


def test_tail_counts_from_the_end_of_each(talkers: Project) -> None:
    """--tail N is N lines of each source; 0 is none, all is all."""
    assert talkers.logs("one", "--tail", "2") == ["one 5", "to stderr"]
    assert talkers.logs("one", "two", "--tail", "1", "--no-log-prefix")[0] in ("to stderr", "unfinished")
    assert talkers.logs("one", "--tail", "0") == []
    assert len(talkers.logs("one", "--tail", "all")) == 6
    assert "Traceback" not in talkers.orch("logs", "one", "--tail", "few").expect(2).err


def test_since_leaves_out_what_is_older(talkers: Project) -> None:
    """--since 1h has all; --since 1s nothing once a second has passed; nonsense is refused."""
    assert len(talkers.logs("one", "--since", "1h")) == 6
    assert eventually(lambda: talkers.logs("one", "--since", "1s") == [])
    talkers.orch("logs", "one", "--since", "yesterday").expect(2)


def test_previous_is_the_run_before_the_restart(project: Project) -> None:
    """After a restart --previous has the lines of the run before, plain logs those of the present one."""
    project.apply(RESTARTING)
    (first,) = eventually(lambda: project.logs("again"))
    kill(project.pid("again"))
    eventually(lambda: project.pod("again")["status"]["containerStatuses"][0]["restartCount"] == 1)
    (second,) = eventually(lambda: [line for line in project.logs("again") if line != first])
    assert first != second
    assert project.logs("again", "--previous") == [first]


def test_following_goes_on_across_a_restart(project: Project) -> None:
    """logs -f keeps printing when the container is restarted, no line twice, none lost."""
    project.apply(RESTARTING)
    eventually(lambda: project.logs("again"))
    words = ("logs", "-f", "--no-log-prefix", "again", "-n", project.name)
    with project.daemon.popen(*words, stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        seen = [following.stdout.readline()]
        kill(project.pid("again"))
        seen.append(following.stdout.readline())
        following.kill()
    assert len(set(seen)) == 2
    assert all(line.startswith(b"run of ") for line in seen)


def test_following_takes_new_pods_in(project: Project) -> None:
    """logs -f SERVICE shows a pod that a scale-up adds, with its name in front."""
    project.apply(RESTARTING)
    words = ("logs", "-f", "again", "-n", project.name)
    with project.daemon.popen(*words, stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        first = following.stdout.readline()
        project.orch("scale", "again=2", "--detach").expect()
        second = following.stdout.readline()
        following.kill()
    assert first.partition(b" | ")[0] != second.partition(b" | ")[0]


def test_following_what_has_ended_ends(project: Project) -> None:
    """logs -f of a job that is done prints its lines and returns."""
    project.apply('services: {once: {image: local/host, command: [echo, all done], restart: "no"}}\n')
    assert project.orch("logs", "-f", "--no-log-prefix", "once", timeout=10).expect().lines == ["all done"]


def test_a_long_line_and_binary_come_out_as_they_went_in(project: Project) -> None:
    """A line of 300 kB and bytes that are no text are printed unchanged."""
    script = "import sys; sys.stdout.buffer.write(b'x' * 300000 + b'\\n\\xff\\xfe\\n'); sys.stdout.flush()"
    project.apply(f'services: {{loud: {{image: local/host, command: [python3, -c, "{script}"], restart: "no"}}}}\n'
                  .replace("\\", "\\\\"))  # fmt: skip
    with project.daemon.popen("logs", "loud", "-n", project.name, stdout=subprocess.PIPE) as printing:
        assert printing.communicate(timeout=30)[0] == b"x" * 300000 + b"\n\xff\xfe\n"


def test_colours_only_where_they_belong(talkers: Project) -> None:
    """No escape sequence in a pipe; --color always paints; NO_COLOR is obeyed."""
    assert "\x1b[" not in talkers.orch("logs").expect().out
    assert "\x1b[" in talkers.orch("logs", "--color", "always").expect().out
    assert "\x1b[" not in talkers.orch("logs", env={"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}).expect().out
