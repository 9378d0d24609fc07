import io
from pathlib import Path

import pytest

from orchestr.manifest.errors import ManifestError, Problem
from orchestr.manifest.objects import load

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: {name}
spec:
  containers:
  - name: web
    image: local/host
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  type: {type}
  selector: {{app: x}}
  ports: [{{port: {port}}}]
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata:
      labels: {{app: {name}}}
      annotations:
        orchestr.dev/depends-on: {needs}
    spec:
      containers:
      - {{name: web, image: local/host}}
"""


def write(directory: Path, name: str, *documents: str) -> str:
    path = directory / name
    path.write_text("---\n".join(documents))
    return str(path)


def told(*paths: str, foreign: bool = False) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load(paths, foreign=foreign)
    return [str(problem) for problem in caught.value.problems]


def test_files_directories_and_standard_input_are_one_set(tmp_path: Path) -> None:
    directory = tmp_path / "all"
    directory.mkdir()
    write(directory, "b.yml", POD.format(name="b"))
    write(directory, "a.yaml", POD.format(name="a"))
    write(directory, "readme.txt", "no manifest")
    loaded = load([str(directory), "-"], stdin=io.BytesIO(POD.format(name="c").encode()))
    assert [one.object.ref for one in loaded] == ["pod/a", "pod/b", "pod/c"]
    assert loaded[0].data["spec"] == {"containers": [{"name": "web", "image": "local/host"}]}


def test_a_list_is_its_items_and_they_know_their_place(tmp_path: Path) -> None:
    pod = "".join(f"  {line}\n" for line in POD.format(name="a").replace("image", "imge").splitlines())
    path = write(tmp_path, "list.yaml", "apiVersion: v1\nkind: List\nitems:\n-" + pod[1:])
    assert told(path) == [
        f"{path}:11:7: spec.containers[0].imge: unknown field 'imge' (did you mean image?)",
    ]


def test_one_bad_document_among_good_ones_refuses_all_and_all_problems_are_told(tmp_path: Path) -> None:
    first = write(tmp_path, "first.yaml", POD.format(name="good"), POD.format(name="Bad"))
    second = write(tmp_path, "second.yaml", "a: 1\na: 2\n")
    third = write(tmp_path, "third.yaml", POD.format(name="x") + "  replicas: -1\n")
    assert told(first, second, third) == [
        f"{first}:13:3: metadata.name: 'Bad' is no DNS name: "
        "at most 253 lower case letters, digits, '-' and '.' (write bad)",
        f"{second}:2:1: key 'a' is there twice (first in line 1)",
        f"{third}:9:3: spec.replicas: unknown field 'replicas'",
    ]


@pytest.mark.parametrize("text", ["just words", "- 1", "a: 1", "kind: Pod", "apiVersion: v1\nkind: [1]"])
def test_what_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "f.yaml", text)
    assert all(line.startswith(f"{path}:") for line in told(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "missing.yaml")
    assert told(path) == [f"{path}: cannot read the file: No such file or directory"]


def test_two_services_on_one_port_name_each_other(tmp_path: Path) -> None:
    one, two = (SERVICE.format(name=name, type="LoadBalancer", port=8080) for name in ("one", "two"))
    path = write(tmp_path, "f.yaml", one, two)
    assert told(path) == [
        f"{path}:15:12: spec.ports[0].port: port 8080/TCP is published by service/one of {path}:1:1 too"
        " (choose another)"
    ]


def test_an_object_that_is_there_twice_names_the_first(tmp_path: Path) -> None:
    path = write(tmp_path, "f.yaml", POD.format(name="a"), POD.format(name="a"))
    assert told(path) == [f"{path}:13:3: metadata.name: pod/a is there twice (first at {path}:1:1)"]


def test_a_cycle_is_printed(tmp_path: Path) -> None:
    documents = (DEPLOYMENT.format(name=name, needs=needs) for name, needs in (("a", "b"), ("b", "a")))
    path = write(tmp_path, "f.yaml", *documents)
    [line] = told(path)
    assert line.startswith(f"{path}:10:9: ")
    assert "deployment/a -> deployment/b -> deployment/a" in line


def test_what_may_be_right_is_only_a_warning(tmp_path: Path) -> None:
    warnings: list[Problem] = []
    service = SERVICE.format(name="web", type="ClusterIP", port=80)
    path = write(tmp_path, "f.yaml", service, DEPLOYMENT.format(name="api", needs="db"))
    assert len(load([path], warn=warnings.append)) == 2
    assert [(found.line, found.message) for found in warnings] == [
        (6, "no pod of these files has the labels app: x"),
        (9, "deployment/api needs db, which is not in these files"),
    ]


def test_kinds_without_behaviour_are_only_for_who_looks(tmp_path: Path) -> None:
    text = "apiVersion: storage.k8s.io/v1\nkind: CSIDriver\nmetadata: {name: a}\nspec: {}\n"
    path = write(tmp_path, "f.yaml", text)
    assert "not supported" in told(path)[0]
    warnings: list[Problem] = []
    assert len(load([path], foreign=True, warn=warnings.append)) == 1
    assert warnings[0].line == 2
    unknown = write(tmp_path, "g.yaml", "apiVersion: apps/v1\nkind: Deploymnt\nmetadata: {name: a}\n")
    assert "did you mean Deployment?" in told(unknown, foreign=True)[0]


def test_a_compose_file_becomes_its_stack(tmp_path: Path) -> None:
    compose = b"name: shop\nservices:\n  web:\n    image: local/host\n"
    loaded = load(["-"], stdin=io.BytesIO(compose), compose={"project_dir": str(tmp_path), "env": {}})
    assert [one.object.ref for one in loaded] == ["namespace/shop", "stack/shop"]
