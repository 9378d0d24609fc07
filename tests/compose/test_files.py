"""Projects of several files: extends, include, merging; every problem with the place in its own file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from orchestr.manifest.compose import Project, discover, project
from orchestr.manifest.errors import ManifestError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes files by name, `__` in it for a slash; the first is the project's."""
    monkeypatch.chdir(tmp_path)

    def files(contents: Mapping[str, str]) -> Path:
        for name, text in contents.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(dedent(text))
        return tmp_path

    return files


def read(*paths: str, env: dict[str, str] | None = None, **options: Any) -> Project:
    return project(paths or ("compose.yaml",), env=env or {}, name="shop", **options)


def told(*paths: str, **options: Any) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        read(*paths, **options)
    return [str(problem) for problem in caught.value.problems]


BASE = """
    services:
      base:
        image: base
        env_file: b.env
        environment: {A: base, Q: "${Q:-q}"}
        volumes: ["./d:/data", "./e:/e"]
        ports: ["80:80"]
        depends_on: [db]
        extends: {file: ../root/root.yaml, service: root}
    """
ROOT = "services: {root: {image: root, build: ./ctx, labels: {from: root}, cap_add: [A]}}"


def test_a_service_extends_one_of_another_file_which_extends_another(write: Write) -> None:
    here = write(
        {
            "compose.yaml": """
            services:
              db: {image: db}
              web:
                extends: {file: sub/base.yaml, service: base}
                image: web
                environment: [A=web]
                volumes: ["./m:/data"]
                ports: !reset []
              twin: {extends: web, command: hi, cap_add: !override [B]}
            """,
            "sub/base.yaml": BASE,
            "root/root.yaml": ROOT,
            "sub/b.env": "B=1",
        }
    )
    services = read().config["services"]
    web = services["web"]
    assert (web["image"], web["environment"]) == ("web", {"A": "web", "B": "1", "Q": "q"})
    assert [mount["source"] for mount in web["volumes"]] == [f"{here}/m", f"{here}/sub/e"]
    assert web["build"]["context"] == f"{here}/root/ctx"
    assert list(web["depends_on"]) == ["db"]
    assert not {"ports", "extends"} & web.keys()
    assert services["twin"] == web | {"command": ["hi"], "cap_add": ["B"]}


EXTENDS = {
    "{extends: {file: no.yaml, service: a}}": "compose.yaml:1:34: services.web.extends.file: cannot read no.yaml: "
    "No such file or directory (create it, or correct the path)",
    "{extends: {service: no}}": "compose.yaml:1:37: services.web.extends.service: there is no service 'no' in "
    "compose.yaml (there are web)",
    "{extends: web}": "services extend each other: ",
    "{extends: {file: sub/base.yaml, service: a}}": "sub/base.yaml:2:13: services.a.imag: unknown key 'imag'",
    "{extends: {file: sub/base.yaml, service: loop}}": "services extend each other: ",
    "{extends: {service: }}": "must be a string",
    "{image: a, extends: {file: https://example.com/x.yaml, service: a}}": "not supported: extends of https://",
}


@pytest.mark.parametrize("service", EXTENDS)
def test_what_cannot_be_extended(service: str, write: Write) -> None:
    base = """services:
        a: {imag: x}
        loop: {extends: {file: ../compose.yaml, service: web}}
        """
    write({"compose.yaml": f"services: {{web: {service}}}", "sub/base.yaml": base})
    if "https" in service:
        assert EXTENDS[service] in str(read().unsupported[0])
    else:
        assert any(EXTENDS[service] in line for line in told()), told()


def test_included_files_have_their_own_directory_and_variables(write: Write) -> None:
    here = write(
        {
            "compose.yaml": """
                include:
                  - sub/inc.yaml
                  - {path: [one/a.yaml, one/b.yaml], project_directory: other, env_file: one/x.env}
                services: {web: {image: "w-${V:-none}", depends_on: [db], volumes: ["data:/d"]}}
                """,
            "sub/inc.yaml": """
                services: {db: {image: "db-$V", volumes: ["./i:/i"], environment: [V], secrets: [s]}}
                volumes: {data: {labels: [a=b]}}
                secrets: {s: {environment: V}}
                """,
            "sub/.env": "V=sub",
            "one/a.yaml": "services: {one: {image: a, volumes: ['./x:/x']}}",
            "one/b.yaml": 'services: {one: {image: "b-$V"}}',
            "one/x.env": "V=one",
        }
    )
    found = read()
    services = found.config["services"]
    assert [services[name]["image"] for name in ("web", "db", "one")] == ["w-none", "db-sub", "b-one"]
    assert services["db"]["environment"] == {"V": "sub"}
    assert services["db"]["volumes"][0]["source"] == f"{here}/sub/i"
    assert services["one"]["volumes"][0]["source"] == f"{here}/other/x"
    assert found.config["volumes"]["data"] == {"name": "shop_data", "labels": {"a": "b"}}
    assert not found.unsupported  # the secret's variable is one of the include's
    assert read(env={"V": "caller"}).config["services"]["db"]["image"] == "db-caller"


INCLUDES = {
    "no.yaml": "compose.yaml:1:11: include[0]: cannot read no.yaml: No such file or directory",
    "compose.yaml": "compose.yaml:1:11: include[0]: files include each other: compose.yaml -> compose.yaml",
    "sub/back.yaml": "files include each other: compose.yaml -> sub/back.yaml -> compose.yaml",
    "sub/bad.yaml": "sub/bad.yaml:1:22: services.x.imag: unknown key 'imag'",
    "sub/same.yaml": "compose.yaml:1:29: services.web: 'web' is included too, from sub/same.yaml:1",
}


@pytest.mark.parametrize("file", INCLUDES)
def test_what_cannot_be_included(file: str, write: Write) -> None:
    write(
        {
            "compose.yaml": f"include: [{file}]\nservices: {{web: {{image: a}}}}",
            "sub/back.yaml": "include: [../compose.yaml]",
            "sub/bad.yaml": "services: {x: {image: a, imag: b}}".replace("image: a, ", ""),
            "sub/same.yaml": "services: {web: {image: other}}",
        }
    )
    expected = INCLUDES[file].replace(":1:29:", ":2:12:").replace("bad.yaml:1:22", "bad.yaml:1:16")
    assert any(expected in line for line in told()), told()


def test_what_both_have_may_be_the_same(write: Write) -> None:
    write({"compose.yaml": "include: [a.yaml, b.yaml]", "a.yaml": "include: [c.yaml]", "b.yaml": "include: [c.yaml]",
           "c.yaml": "services: {web: {image: a}}"})  # fmt: skip
    assert list(read().config["services"]) == ["web"]


def test_list_items_for_the_same_thing_stand_once(write: Write) -> None:
    write(
        {
            "compose.yaml": """
                services:
                  web:
                    image: a
                    volumes: [{type: bind, source: ./a, target: /x, read_only: true}]
                    ports: ["80:80", "81:81"]
                    cap_add: [A, B]
                    env_file: [{path: a.env, required: false}]
                    logging: {driver: json-file, options: {max-size: 1m}}
                    ulimits: {nofile: {soft: 1, hard: 2}}
                    command: [a, b]
                    tmpfs: /t
                    depends_on: [db]
                  db: {image: d}
                """,
            "over.yaml": """
                services:
                  web:
                    volumes: ["./b:/x"]
                    ports: ["80:80", "82:82"]
                    cap_add: [B, C]
                    env_file: a.env
                    logging: {driver: journald}
                    ulimits: {nofile: 5}
                    command: null
                    tmpfs: [/u]
                    depends_on: {db: {condition: service_healthy}}
                """,
            "a.env": "X=1",
        }
    )
    web = read("compose.yaml", "over.yaml").config["services"]["web"]
    (mount,) = web["volumes"]
    assert (mount["source"].rpartition("/")[2], mount.get("read_only")) == ("b", None)
    assert [port["published"] for port in web["ports"]] == ["80", "81", "82"]
    assert (web["cap_add"], web["tmpfs"], web["environment"]) == (["A", "B", "C"], ["/t", "/u"], {"X": "1"})
    assert (web["logging"], web["ulimits"]) == ({"driver": "journald"}, {"nofile": 5})
    assert "command" not in web
    assert web["depends_on"]["db"] == {"condition": "service_healthy", "required": True}


def test_the_files_that_are_meant(write: Write) -> None:
    here = write(
        {
            "compose.yaml": "services: {}",
            "compose.override.yml": "services: {}",
            "sub/.env": "COMPOSE_FILE=a.yaml;b.yaml\nCOMPOSE_PATH_SEPARATOR=;\n",
            "deep/x": "",
        }
    )
    assert discover(".", {}) == [f"{here}/compose.yaml", f"{here}/compose.override.yml"]
    assert discover("deep", {}) == discover(".", {})
    assert discover("sub", {}) == ["a.yaml", "b.yaml"]
    assert discover("sub", {"COMPOSE_FILE": "c.yaml"}) == ["c.yaml"]


@pytest.mark.parametrize(
    ("options", "env", "name"),
    [
        ({}, {}, "myshop"),
        ({}, {"COMPOSE_PROJECT_NAME": "of-env"}, "of-env"),
        ({"name": "given"}, {"COMPOSE_PROJECT_NAME": "of-env"}, "given"),
    ],
)
def test_the_name_of_a_project(options: dict[str, str], env: dict[str, str], name: str, write: Write) -> None:
    write({"compose.yaml": 'name: "My $S"\nservices: {web: {image: "i-$COMPOSE_PROJECT_NAME"}}', ".env": "S=shop"})
    found = project(["compose.yaml"], env=env, **options)  # type: ignore[arg-type]
    assert (found.name, found.config["services"]["web"]["image"]) == (name, f"i-{name}")
    with pytest.raises(ManifestError, match="'Bad' is no project name"):
        project(["compose.yaml"], env=env, name="Bad")


def test_where_a_variable_comes_from(write: Write) -> None:
    write(
        {
            "compose.yaml": "services:\n  web:\n    image: a:${TAG}-${OTHER:-x}\n    env_file: [web.env]\n",
            ".env": "# tags\nTAG=1\nHERE=2\n",
            "web.env": "A=1\nTAG=3\n",
        }
    )
    found = read(env={"HERE": "caller"})
    assert [line.replace(f"{Path.cwd()}/", "") for line in found.explain("TAG")] == [
        "TAG=1",
        "from .env:2:1",
        "services.web.image uses it: compose.yaml:3:12",
        "services.web is given it: web.env:2:1",
    ]
    assert [line.replace(f"{Path.cwd()}/", "") for line in found.explain("HERE")] == [
        "HERE=caller",
        "from the environment",
        "not from .env:3:1, which comes after it",
    ]
    assert found.explain("OTHER")[0] == "OTHER is not set"


def test_profiles_of_named_services_are_active(write: Write) -> None:
    write(
        {"compose.yaml": "services: {web: {image: a}, tool: {image: b, profiles: [t]}, dev: {image: b, profiles: [d]}}"}
    )
    assert list(read(named=["tool"]).config["services"]) == ["tool", "web"]
    assert list(read(env={"COMPOSE_PROFILES": "d, t"}).config["services"]) == ["dev", "tool", "web"]
    assert list(read(env={"COMPOSE_PROFILES": "d"}, profiles=["t"]).config["services"]) == ["tool", "web"]
    assert read().profiles == ("d", "t")
