"""What hurts users of Compose, each row of the list once, and gone.

Rows that have a file of their own are there: order at every start (2) in test_ordering.py, health (3) in
test_probes.py, what a change touches (6) and failed updates (9) in test_updates.py, orphans (7) and stopping in order
(20) in test_commands.py.
"""

from e2e.project import Project

APP = """
    services:
      app:
        {image: local/host, command: [sleep, infinity], stop_grace_period: 0s, restart: always, volumes: ["data:/data"]}
    volumes: {data: {}}
"""


def test_row_7_two_directories_of_one_name_do_not_end_each_other(project: Project) -> None:
    project.write(APP)
    project.orch("up", "-d").expect()
    first = project.pod("app")["metadata"]["uid"]
    text = "services: {web: {image: local/host, command: [sleep, infinity], stop_grace_period: 0s}}\n"
    other = project.write(text, f"b/{project.name}/compose.yaml")
    refused = project.orch("up", "-d", cwd=other.parent).expect(2)
    assert str(project.file) in refused.err
    assert "-p NAME" in refused.err
    assert project.pod("app")["metadata"]["uid"] == first
    named = f"{project.name}b"
    project.orch("-p", named, "up", "-d", cwd=other.parent).expect()
    project.orch("-p", named, "down", "-v", "-y", cwd=other.parent).expect()


def test_row_11_success_means_that_it_runs(project: Project) -> None:
    """A crash loop is a failure, told with its last lines; a step that has ended well is not run again."""
    project.write("""
        services:
          once: {image: local/host, command: [sh, -c, "echo ran"]}
          app:
            image: local/host
            command: [sh, -c, "echo cannot find it; exit 3"]
            restart: always
            depends_on: {once: {condition: service_completed_successfully}}
    """)
    failed = project.orch("up", "-d").expect(1)
    assert "crash loop" in failed.err
    assert "cannot find it" in failed.err
    ran = project.pod("once")["metadata"]["uid"]
    project.write(project.file.read_text().replace("echo cannot find it; exit 3", "exec sleep infinity"))
    project.orch("up", "-d").expect()
    assert project.pod("once")["metadata"]["uid"] == ran


def test_row_21_every_problem_at_once_and_before_anything_is_touched(project: Project) -> None:
    project.write("""
        services:
          a: {image: local/host, comand: [true]}
          b: {image: local/host, depends_on: [c]}
    """)
    refused = project.orch("up", "-d").expect(2)
    assert "compose.yaml:2:" in refused.err
    assert "compose.yaml:3:" in refused.err
    assert not project.exists()


def test_row_27_data_goes_only_when_it_is_named(project: Project) -> None:
    project.write(APP)
    project.orch("up", "-d").expect()
    project.orch("exec", "app", "sh", "-c", "echo kept > /data/file").expect()
    assert "data" in project.orch("down", "-v").expect(2).err
    assert project.pods("app")
    project.orch("down").expect()
    project.orch("up", "-d").expect()
    assert project.orch("exec", "app", "cat", "/data/file").expect().out == "kept\n"


def test_row_35_an_override_takes_away(project: Project) -> None:
    project.write(APP.replace("restart: always,", 'restart: always, ports: ["127.0.0.1:18941:80"],'))
    project.write("services: {app: {ports: !reset []}}\n", "compose.override.yaml")
    project.orch("up", "-d").expect()
    project.orch("port", "app", "80").expect(1)
