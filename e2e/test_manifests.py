"""Every file in manifests/ is applied, as its own comment says, and does what that comment promises."""

import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.checks import Result, eventually
from e2e.daemon import Daemon

MANIFESTS = Path(__file__).parents[1] / "manifests"
GOOD = {  # file -> what answers once it is applied
    "hello/compose.yaml": "http://127.0.0.1:8081",
    "kubernetes/hello.yaml": "http://127.0.0.1:30081",
    "jobs/jobs.yaml": "",
    "probes/probes.yaml": "",
    "quota/quota.yaml": "",
    "sets/sets.yaml": "",
    "rolling/rolling.yaml": "http://127.0.0.1:30082",
}
REFUSED = {  # what is never sent: file -> what the message says
    "broken/cycle.yaml": "a -> b -> c -> a",
    "broken/port-twice.yaml": "already published by service first",
    "broken/selector.yaml": "do not match the selector",
    "broken/unknown-field.yaml": "did you mean environment?",
}
FAILING = {  # what is sent and cannot run
    "broken/missing-image.yaml": "no-such-image",
    "broken/crash-loop.yaml": "the configuration is missing",
    "broken/quota-exceeded.yaml": "exceeded quota: two",
    "jobs/failing.yaml": "cannot do it",
}
ELSEWHERE = ("shop/compose.yaml", "quota/too-much.yaml", "broken/port-taken.yaml")  # below, and test_shop.py
NAMESPACE = re.compile(r"^name: (\S+)|^ {2}namespace: (\S+)", re.MULTILINE)


def apply(daemon: Daemon, file: str, *words: str) -> Result:
    return daemon.orch("apply", "-f", str(MANIFESTS / file), "--timeout", "60s", *words)


def remove(daemon: Daemon, *files: str) -> None:
    """Deletes what the files made, with the namespaces, and waits until that is gone."""
    for file in files:
        for found in NAMESPACE.findall((MANIFESTS / file).read_text()):
            daemon.request("DELETE", f"/api/v1/namespaces/{found[0] or found[1]}")
    spaces = {found[0] or found[1] for file in files for found in NAMESPACE.findall((MANIFESTS / file).read_text())}
    eventually(lambda: not spaces & set(daemon.names("namespaces")), within=40)


@pytest.fixture
def removing(shared: Daemon) -> Iterator[list[str]]:
    """Files whose objects are deleted afterwards."""
    files: list[str] = []
    yield files
    shared.note_links()
    remove(shared, *files)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def test_every_manifest_has_a_test() -> None:
    """A manifest that nobody applies would rot; each begins with a comment that says what it shows."""
    files = {str(path.relative_to(MANIFESTS)) for path in MANIFESTS.rglob("*.yaml")}
    assert files == {*GOOD, *REFUSED, *FAILING, *ELSEWHERE}
    for file in files:
        assert (MANIFESTS / file).read_text().startswith("# "), file


@pytest.mark.parametrize("file", GOOD)
def test_good_ones_converge_and_are_unchanged_the_second_time(shared: Daemon, removing: list[str], file: str) -> None:
    """Exit 0; applied again, nothing changes; its published ports answer."""
    removing.append(file)
    apply(shared, file).expect()
    again = apply(shared, file).expect()
    assert {line.split()[-1] for line in again.lines} == {"unchanged"}
    if GOOD[file]:
        assert fetch(GOOD[file]), "the port is open when apply has returned"


@pytest.mark.parametrize("file", REFUSED)
def test_broken_ones_that_are_refused(shared: Daemon, file: str) -> None:
    """Exit 2 with FILE:LINE:COL and the reason; no namespace is made."""
    before = shared.names("namespaces")
    done = apply(shared, file).expect(2)
    assert REFUSED[file] in done.err
    assert re.search(rf"{re.escape(file)}:\d+:\d+: ", done.err)
    assert shared.names("namespaces") == before


@pytest.mark.parametrize("file", FAILING)
def test_broken_ones_that_fail(shared: Daemon, removing: list[str], file: str) -> None:
    """Exit 1 well before the timeout, with the reason."""
    removing.append(file)
    done = apply(shared, file).expect(1)
    assert FAILING[file] in done.err


def test_a_port_that_is_taken_is_refused_with_its_holder(shared: Daemon, removing: list[str]) -> None:
    """Another program listens on the port: exit 1, the port and the program are named."""
    removing.append("broken/port-taken.yaml")
    with socket.create_server(("127.0.0.1", 8084)):
        done = apply(shared, "broken/port-taken.yaml").expect(1)
    assert "8084" in done.err
    assert "python" in done.err or "pytest" in done.err


def test_what_exceeds_the_quota_is_forbidden(shared: Daemon, removing: list[str]) -> None:
    """too-much.yaml beside quota.yaml: exit 1, what was asked for, used and allowed; no pod more."""
    removing.append("quota/quota.yaml")
    apply(shared, "quota/quota.yaml").expect()
    before = shared.names("pods", "team")
    done = apply(shared, "quota/too-much.yaml").expect(1)
    assert "requests.memory" in done.err
    assert "256Mi" in done.err
    assert shared.names("pods", "team") == before


def test_the_probes_take_the_pod_out_and_back(shared: Daemon, removing: list[str]) -> None:
    """As probes.yaml says: without /srv/ready the pod leaves the endpoints, with it it comes back."""
    removing.append("probes/probes.yaml")
    apply(shared, "probes/probes.yaml").expect()

    def ready() -> set[bool]:
        slices = shared.items("endpointslices", "probes")
        return {bool(end["conditions"]["ready"]) for each in slices for end in each.get("endpoints") or []}

    assert ready() == {True}
    shared.orch("exec", "deployment/web", "-n", "probes", "--", "rm", "/srv/ready").expect()
    eventually(lambda: ready() in ({False}, set()))
    shared.orch("exec", "deployment/web", "-n", "probes", "--", "touch", "/srv/ready").expect()
    eventually(lambda: ready() == {True})
