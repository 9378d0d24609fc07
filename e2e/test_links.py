"""A pod's link: open on every port to its peers, and made again when another program removes it."""

import json
import subprocess

from e2e.checks import eventually
from e2e.project import Project
from e2e.test_services import CLIENT, NAMED, fetch, web

SERVER = json.dumps(["python3", "-c", NAMED])


def listening(project: Project, name: str) -> bool:
    return eventually(lambda: fetch(project, f"http://{name}:8080/"), what=f"{name} answers") != ""


def test_a_peer_reaches_a_port_that_the_file_does_not_list(project: Project) -> None:
    """`expose` gives the service an address of its own; port 8080 is not in it."""
    project.apply(f"services:{web('expose: [9999]', SERVER)}{CLIENT}")
    assert listening(project, "web")
    assert "8080" not in str(project.get("service", "web")["spec"]["ports"])


def test_a_link_that_somebody_removed_is_made_again(project: Project) -> None:
    project.apply(f"services:{web('', SERVER)}{CLIENT}")
    assert listening(project, "web")
    script = "import pathlib; print(pathlib.Path('/sys/class/net/eth0/iflink').read_text())"
    index = project.exec("web", "python3", "-c", script).out.strip()
    found = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.splitlines()
    name = next(line.split()[1].partition("@")[0] for line in found if line.split(":")[0] == index)
    subprocess.run(["ip", "link", "delete", name], check=True)
    assert listening(project, "web")
    events = eventually(
        lambda: [e for e in project.orch("get", "events", "-o", "json").json()["items"] if e["reason"] == "Reconnected"]
    )
    assert events[0]["involvedObject"]["name"].startswith("web")
