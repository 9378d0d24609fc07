"""Files -> project: places of problems, merging, profiles, variables, contents."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import characters, sets, text

from orchestr.manifest import objects
from orchestr.manifest.compose import load
from orchestr.manifest.compose.names import LABEL, labels
from orchestr.manifest.compose.schema import root
from orchestr.manifest.compose.support import TABLE, support
from orchestr.manifest.errors import ManifestError
from tests.compose.conftest import Loads

Refused = Callable[..., list[str]]

BAD = {
    "services: {web: {image: a, imag: b}}": "1:28: services.web.imag: unknown key 'imag' (did you mean image?)",
    "services: {web: {image: [a]}}": "file0.yaml:1:25: services.web.image: must be a string, is a list",
    "services: {web: {ports: ['80:80']}}": "file0.yaml:1:12: services.web.image: has neither an image nor a build",
    "services: {web: {image: a, scale: -1}}": "file0.yaml:1:35: services.web.scale: -1 is negative",
    "services: {web: {image: a, volumes: ['data:/x']}}": "undefined volume 'data'",
    "services: {web: {image: a, networks: [back]}}": "1:39: services.web.networks.back: undefined network 'back'",
    "services: {web: {image: a, secrets: [s]}}": "undefined secret 's'",
    "services: {web: {image: a, depends_on: [db]}}": "undefined service 'db'",
    "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}": "services wait for each other: ",
    "services: {a: {image: x, container_name: n}, b: {image: x, container_name: n}}": "'n' is the name of service a",
    "services: {a: {image: x, container_name: n, scale: 2}}": "one name for 2 replicas",
    "services: {a: {image: x, ports: ['99999:1']}}": "cannot use port '99999'",
    "services: {a: {image: x, ports: ['80:1/icmp']}}": "there is no protocol 'icmp'",
    "services: {a: {image: x, healthcheck: {test: [true]}}}": "must be a string, is true or false",
    "services: {a: {image: x, healthcheck: {test: [x]}}}": "must begin with NONE, CMD or CMD-SHELL",
    "services: {a: {image: x, stop_grace_period: 10}}": "must be a string, is a whole number (10)",
    "services: {a: {image: x, mem_limit: lots}}": "cannot read size 'lots'",
    "services: {a: {image: x, restart: sometimes}}": "'sometimes' is not allowed",
    'services: {a: {image: x, command: "it\'s"}}': "cannot split command",
    "services: {a: {image: '${X:?say which}'}}": "required variable X is not set: say which",
    "services: {a: {image: x, env_file: nowhere.env}}": "cannot read env file",
    "services: {a: {image: x}}\nname: kube-system": "belongs to Kubernetes",
    "services: {a: {image: x, tmpfs: /x, volumes: ['/x']}}": "volumes[0].target: /x is mounted by tmpfs[0] too",
    "services: {a: {image: x}}\nvolumes: {v: {external: true, driver: local}}": "2:39: volumes.v.driver: cannot be",
    "services: {a: {image: x}}\nsecrets: {s: {}}": "2:11: secrets.s: needs exactly one of file, environment (has none)",
    "services: {a: {image: x}}\nconfigs: {s: {file: x, content: y}}": "(has file, content)",
    "services: {a: {build: {context: ., dockerfile: a, dockerfile_inline: b}}}": "combined with dockerfile_inline",
    "services: {a: {image: x, container_name: -x}}": "'-x' is not allowed (it must match ",
    "services: {a: {image: x, pull_policy: sometimes}}": "pull_policy: 'sometimes' is not allowed",
    "services: {a: {image: x, healthcheck: {interval: abc}}}": "cannot read duration 'abc'",
    "services: {a: {image: x, network_mode: host, networks: [default]}}": "cannot be combined with networks",
    "services: {a: {image: x, ulimits: {nofil: 1}}}": "there is no limit 'nofil' (use nofile)",
    "services: {a: {image: x, ulimits: {nofile: {soft: 2, hard: 1}}}}": "soft limit 2 is more than the hard limit 1",
    "services: {a: {image: x, links: [b]}}": "1:34: services.a.links[0]: undefined service 'b' (there are a)",
    "services: {a: {image: x, hostname: a b}}": "'a b' is no host name",
    "services: {a: {image: x, extra_hosts: ['h:no']}}": "'no' is no IP address",
    "services: {a: {image: x, environment: ['A =b']}}": "the name 'A ' ends in a space",
    "services:": "services: must be a mapping, is nothing",
}


@pytest.mark.parametrize("file", BAD)
def test_what_is_wrong_is_told_with_its_place(file: str, refused: Refused) -> None:
    told = refused(file, name=None)
    assert any(BAD[file] in line for line in told), told
    assert all(line.startswith("file0.yaml:") and line.split(":")[1].isdecimal() for line in told)


def test_all_problems_are_told_at_once(refused: Refused) -> None:
    file = """
        services:
          web:
            image: a
            volumes: ["data:/data"]
            imag: b
          db:
            depends_on: [nothing]
        """
    assert [line.split(": ")[0] for line in refused(file)] == [
        "file0.yaml:5:15",
        "file0.yaml:6:5",
        "file0.yaml:7:3",
        "file0.yaml:8:18",
    ]


def test_a_cycle_is_printed_along_its_arrows(refused: Refused) -> None:
    told = refused(
        "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [c]}, c: {image: x, depends_on: [a]}}"
    )
    assert any(f"{cycle} (remove" in told[0] for cycle in ("a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c"))


def test_keys_not_done_are_listed_and_refused_by_load(loads: Loads, tmp_path: Path) -> None:
    project = loads("services: {web: {image: a, build: {context: ., privileged: true}, gpus: all}}")
    assert [str(problem).partition(": ")[2] for problem in project.project.unsupported] == [
        "services.web.build.privileged: not supported: build.privileged (RUN has no privilege)",
        "services.web.gpus: not supported: gpus (devices cannot be given to containers)",
    ]
    with pytest.raises(ManifestError, match=r"not supported: build\.privileged"):
        load([str(tmp_path / "file0.yaml")], env={}, name="shop")


def test_two_services_cannot_publish_one_port(loads: Loads) -> None:
    project = loads("services: {a: {image: x, ports: ['80:1', '80:1/sctp']}, b: {image: x, ports: ['127.0.0.1:80:2']}}")
    assert [problem.message for problem in project.project.unsupported] == [
        "not supported: publishing sctp",
        "port 127.0.0.1:80/tcp is already published by service a",
    ]


def test_unset_variables_warn_or_fail(loads: Loads, refused: Refused) -> None:
    file = "services: {web: {image: 'a$TAG'}}"
    project = loads(file)
    assert project.stack.spec.services["web"].image == "a"
    assert "variable TAG is not set, it counts as empty" in str(project.project.warnings[0])
    assert "variable TAG is not set" in refused(file, strict_env=True)[0]


def test_the_caller_wins_over_dot_env(loads: Loads, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TAG=file\nOTHER=file\n")
    project = loads("services: {web: {image: '$TAG-$OTHER', scale: $N}}", env={"TAG": "caller", "N": "2"})
    assert project.stack.spec.services["web"].image == "caller-file"
    assert project.stack.spec.services["web"].replicas == 2


def test_environment_comes_from_files_then_keys_then_the_caller(loads: Loads, tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("A=file\nB=file\n")
    project = loads(
        "services: {web: {image: a, env_file: [a.env, {path: no.env, required: false}], environment: [B=key, C, D]}}",
        env={"C": "caller"},
    )
    assert project.stack.spec.services["web"].environment == {"A": "file", "B": "key", "C": "caller"}


def test_later_files_change_earlier_ones(loads: Loads) -> None:
    base = """
        services:
          web: {image: a, command: [x, y], ports: ["80:80"], environment: [A=1, B=1], volumes: ["./a:/a"]}
          old: {image: a, ports: ["81:80"], command: gone}
        """
    over = """
        services:
          web: {image: b, command: z, ports: ["443:443"], environment: {B: 2}, volumes: ["./b:/a"]}
          old: {ports: !override ["82:80"], command: !reset null}
        """
    services = loads(base, over).stack.spec.services
    web, old = services["web"], services["old"]
    assert (web.image, web.command, dict(web.environment)) == ("b", ("z",), {"A": "1", "B": "2"})
    assert [port.published for port in web.ports] == [80, 443]
    assert [mount.source.rpartition("/")[2] for mount in web.volumes if mount.source] == ["b"]
    assert [port.published for port in old.ports] == [82]
    assert old.command == ()


def test_anchors_and_merge_keys(loads: Loads) -> None:
    services = loads("""
        x-base: &base {image: a, restart: always}
        services:
          one: {<<: *base}
          two: {<<: *base, image: b}
        """).stack.spec.services
    assert [(service.image, service.restart) for service in services.values()] == [("a", "always"), ("b", "always")]


def test_services_of_other_profiles_are_left_out(loads: Loads, refused: Refused) -> None:
    file = """
        services:
          web: {image: a, depends_on: {debug: {condition: service_started, required: false}}}
          debug: {image: a, profiles: [dev]}
        """
    assert set(loads(file).stack.spec.services) == {"web"}
    assert set(loads(file, profiles=["dev"]).stack.spec.services) == {"web", "debug"}
    assert set(loads(file, env={"COMPOSE_PROFILES": "dev"}).stack.spec.services) == {"web", "debug"}
    assert "is in no active profile" in refused(file.replace("false", "true"))[0]


def test_a_secret_is_in_its_secret_only(loads: Loads, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2")
    project = loads("""
        services: {web: {image: a, secrets: [pw], configs: [conf]}}
        secrets: {pw: {file: ./password}}
        configs: {conf: {content: "hello"}}
        """)
    assert project.secrets[0].content() == {"pw": b"hunter2"}
    assert b"hunter2" not in project.stack.canonical()
    assert "hunter2" not in str(project.config)
    assert project.stack.spec.configs["conf"].content == "hello"


def test_paths_are_absolute_and_files_are_bound_as_they_are(loads: Loads, tmp_path: Path) -> None:
    (tmp_path / "a.conf").touch()
    file = "services: {web: {image: a, volumes: ['./a.conf:/a:ro', './new:/n', '~/h:/h']}}"
    mounts = loads(file, env={"HOME": "/home/me"}).stack.spec.services["web"].volumes
    assert [mount.source for mount in mounts] == [str(tmp_path / "a.conf"), str(tmp_path / "new"), "/home/me/h"]
    assert [mount.bind.create_host_path for mount in mounts if mount.bind] == [False, True, True]


def test_a_config_can_be_printed_with_the_place_of_each_value(loads: Loads, tmp_path: Path) -> None:
    (tmp_path / "web.env").write_text("\nA=1\n")
    project = loads("services:\n  web:\n    image: a\n    env_file: web.env")
    assert project.config == {
        "name": "shop",
        "services": {"web": {"image": "a", "environment": {"A": "1"}, "networks": {"default": None}}},
        "networks": {"default": {"name": "shop_default"}},
    }
    assert project.project.provenance["services.web.image"] == ("a", (str(tmp_path / "file0.yaml"), 3, 12))
    assert project.project.provenance["services.web.environment.A"] == ("1", (str(tmp_path / "web.env"), 2, 1))


def test_every_key_of_the_schema_has_its_support_stated() -> None:
    known = {".".join(path) for path in schema_paths()}
    for path in known:
        support(tuple(path.split(".")))
    assert set(TABLE) <= known


def schema_paths() -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()

    def walk(schema: dict[str, object], path: tuple[str, ...], inside: tuple[str, ...]) -> None:
        if isinstance(ref := schema.get("$ref"), str):
            name = ref.rpartition("/")[2]
            if name not in inside:
                walk(root()["$defs"][name], path, (*inside, name))
            return
        for option in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):  # type: ignore[misc]
            walk(option, path, inside)
        for key, sub in schema.get("properties", {}).items():  # type: ignore[attr-defined]
            found.add((*path, key))
            walk(sub, (*path, key), inside)
        for pattern, sub in schema.get("patternProperties", {}).items():  # type: ignore[attr-defined]
            if pattern != "^x-":
                walk(sub, (*path, "*"), inside)
        if isinstance(items := schema.get("items"), dict):
            walk(items, path, inside)

    walk(dict(root()), (), ())
    return found


@given(sets(text(alphabet=characters(codec="ascii", categories=("L", "N"), include_characters="._-"), min_size=1)))
def test_names_become_different_labels(names: set[str]) -> None:
    mapped = labels(names)
    assert len(set(mapped.values())) == len(names)
    assert all(LABEL.fullmatch(name) for name in mapped.values())


STACK = """\
apiVersion: orchestr.dev/v1
kind: Stack
metadata: {name: shop, namespace: team}
spec:
  services:
    web:
      image: local/host
      command: sleep 1000
      ports: ["127.0.0.1:8080:80"]
      environment: [A=$B]
"""


def test_a_stack_object_may_be_written_in_short_forms(tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text(STACK)
    (loaded,) = objects.load([str(file)])
    assert loaded.object.key == ("team", "shop")
    web = loaded.object.spec.services["web"]
    assert web.command == ("sleep", "1000")
    assert web.environment == {"A": "$B"}  # an object stands for itself: no variables are filled in
    assert web.ports[0].published == 8080


def test_what_is_wrong_in_a_stack_object_has_its_place(tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text(STACK.replace("image:", "imag:"))
    with pytest.raises(ManifestError, match=r"stack.yaml:7:7: services.web.imag: unknown"):
        objects.load([str(file)])
