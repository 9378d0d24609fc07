"""Custom resources as people use them: a definition and its objects in files, listed, changed, deleted, kept."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.daemon import Daemon

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 1}
              color: {type: string, default: red}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""
WIDGET = """
apiVersion: example.org/v1
kind: Widget
metadata: {name: a}
spec: {size: %s}
"""
WIDGETS = "/apis/example.org/v1/namespaces/default/widgets"


@pytest.fixture
def defined(daemon: Daemon, tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "all.yaml").write_text(DEFINITION + "---" + WIDGET % 3)
    done = daemon.orch("apply", "-f", str(tmp_path / "all.yaml"))
    assert done.code == 0, done
    yield daemon
    daemon.orch("delete", "crd", "widgets.example.org", "--ignore-not-found")


def test_a_definition_and_its_objects_in_one_file(defined: Daemon) -> None:
    assert "a" in defined.orch("get", "widgets").out
    assert json.loads(defined.orch("get", "wd", "a", "-o", "json").out)["spec"] == {"size": 3, "color": "red"}
    assert defined.orch("get", "widgets.example.org", "-o", "name").out == "widget.example.org/a\n"
    assert "color: red" in defined.orch("describe", "widget", "a").out


def test_a_field_that_is_left_out_vanishes_and_what_is_wrong_is_told(defined: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(WIDGET % 4 + "  \n")
    done = defined.orch("apply", "-f", str(file))
    assert (done.code, "widget/a configured" in done.out) == (0, True), done
    file.write_text(WIDGET % 0)
    done = defined.orch("apply", "-f", str(file))
    assert (done.code, "spec.size" in done.err) == (2, True), done


def test_objects_survive_a_restart_and_go_with_their_definition(defined: Daemon) -> None:
    defined.orch("system", "stop").expect()
    defined.start()
    assert json.loads(defined.orch("get", "wd", "a", "-o", "json").out)["spec"]["size"] == 3
    done = defined.orch("delete", "crd", "widgets.example.org")
    assert done.code == 0, done
    assert defined.orch("get", "widgets").code == 2
    assert defined.orch("get", "crd", "-o", "name").out.strip() == ""


def test_deleting_an_object(defined: Daemon) -> None:
    assert defined.orch("delete", "widget", "a").code == 0
    assert defined.orch("get", "widget", "a").code == 1


def test_what_the_daemon_finds_is_told_at_its_place(defined: Daemon, tmp_path: Path) -> None:
    """The schema is the daemon's; what is wrong is told as if the file had been read with it."""
    file = tmp_path / "wrong.yaml"
    file.write_text("---" + WIDGET % 3 + "---\n" + WIDGET.strip().replace("name: a", "name: b") % 0 + "\nsepc: {}\n")
    for command in (("apply",), ("apply", "--dry-run=server"), ("diff",)):
        done = defined.orch(*command, "-f", str(file))
        assert done.code == 2, done
        assert done.err.splitlines()[0].startswith(f"{file}:"), done.err
        assert f"{file}:10:8: spec.size: Invalid value: 0" in done.err, done.err
    assert "size: 3" in defined.orch("get", "widget", "a", "-o", "yaml").expect().out
