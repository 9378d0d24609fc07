"""What a change does: exactly what uses it is made anew, and an update that fails goes back."""

import pytest

from e2e.project import Project
from e2e.test_images import base, load
from tests.images.tars import Entry, archive, layer, oci_files, pack

ROLLING = """
    services:
      app:
        image: local/host
        command: [sh, -c, "COMMAND"]
        stop_grace_period: 0s
        deploy:
          replicas: 2
          update_config: {failure_action: rollback, parallelism: 1}
          rollback_config: {parallelism: 0}
"""
USERS = """
    services:
      config: {image: local/host, command: [sleep, infinity], stop_grace_period: 0s, restart: always, configs: [page]}
      secret: {image: local/host, command: [sleep, infinity], stop_grace_period: 0s, restart: always, secrets: [key]}
      env: {image: local/host, command: [sleep, infinity], stop_grace_period: 0s, restart: always, env_file: app.env}
      image: {image: "IMAGE", command: [sleep, infinity], stop_grace_period: 0s, restart: always}
      none: {image: local/host, command: [sleep, infinity], stop_grace_period: 0s, restart: always}
    configs: {page: {file: page.txt}}
    secrets: {key: {file: key.txt}}
"""


def uids(project: Project) -> dict[str, str]:
    pods = {pod["metadata"]["labels"]["orchestr.dev/service"]: pod["metadata"]["uid"] for pod in project.pods()}
    assert len(pods) == len(project.pods())
    return pods


def test_a_failed_update_is_rolled_back_and_exits_4(project: Project) -> None:
    project.write(ROLLING.replace("COMMAND", "echo first; exec sleep infinity"))
    project.orch("up", "-d").expect()
    project.write(ROLLING.replace("COMMAND", "echo second; exit 3"))
    failed = project.orch("up", "-d").expect(4)
    assert "exited with code 3" in failed.err
    assert "went back" in project.orch("status", "-n", project.name).out
    assert {line.rpartition("| ")[2] for line in project.logs("app")} == {"first"}
    assert len(project.pods("app")) == 2
    project.orch("up", "-d").expect(4)  # the file still asks for what failed
    project.write(ROLLING.replace("COMMAND", "echo third; exec sleep infinity"))
    project.orch("up", "-d").expect()
    assert {line.rpartition("| ")[2] for line in project.logs("app")} == {"third"}


def test_a_first_version_that_fails_has_nothing_to_go_back_to(project: Project) -> None:
    project.write(ROLLING.replace("COMMAND", "exit 3"))
    project.orch("up", "-d").expect(1)


@pytest.mark.parametrize("changed", ["page.txt", "key.txt", "app.env"])
def test_one_byte_makes_exactly_its_user_anew(changed: str, project: Project) -> None:
    user = {"page.txt": "config", "key.txt": "secret", "app.env": "env"}[changed]
    project.write(USERS.replace("IMAGE", "local/host"))
    for name in ("page.txt", "key.txt", "app.env"):
        project.write("A=1\n", name)
    project.orch("up", "-d").expect()
    before = uids(project)
    project.write("A=2\n", changed)
    project.orch("up", "-d").expect()
    after = uids(project)
    assert {name for name in after if after[name] != before[name]} == {user}
    # The same again, written in another way, is no change.
    text = USERS.replace("IMAGE", "local/host").replace("restart: always", 'restart: "always"')
    project.write("# a comment\n" + text.replace("    services:", "    name: NAME\n    services:"))
    project.orch("up", "-d").expect()
    assert uids(project) == after


def test_another_image_under_the_same_name_makes_exactly_its_user_anew(project: Project) -> None:
    def pushed(content: bytes) -> None:
        own = layer([Entry("content", content)])
        load(project, archive(oci_files([base(), own], {"Env": ["PATH=/bin"]}, name=f"{project.name}:1", packed=pack)))

    pushed(b"1")
    for name in ("page.txt", "key.txt", "app.env"):
        project.write("A=1\n", name)
    project.write(USERS.replace("IMAGE", f"{project.name}:1"))
    project.orch("up", "-d").expect()
    before = uids(project)
    project.orch("up", "-d").expect()
    assert uids(project) == before
    pushed(b"2")
    project.orch("up", "-d").expect()
    after = uids(project)
    assert {name for name in after if after[name] != before[name]} == {"image"}
