"""Images built from Dockerfiles, by `orch image build` and from Compose files, and run."""

import json
import stat
from pathlib import Path

import pytest

from e2e.checks import cgroups_named, eventually, pids_in
from e2e.project import Project

HOST = "FROM local/host\n"


def layers(project: Project, name: str) -> list[str]:
    found: list[str] = json.loads(project.orch("image", "inspect", name).expect().out)["layers"]
    return found


def build(project: Project, text: str, *words: str, code: int = 0, **options: object) -> str:
    """What `orch image build` of this Dockerfile says; its context is the project's directory `ctx`."""
    (project.folder / "ctx").mkdir(exist_ok=True)
    project.write(text, "ctx/Dockerfile")
    done = project.orch("image", "build", "-t", f"{project.name}:1", *words, "ctx", **options).expect(code)
    return done.err


def test_stages_are_built_and_the_image_runs(project: Project) -> None:
    """Only the needed stages; arguments, variables, owners and here-documents; a second build is all from the cache."""
    project.write("payload\n", "ctx/data/file")
    project.write("never\n", "ctx/secret.txt")
    project.write("*.txt\n", "ctx/.dockerignore")
    text = """
        ARG WHO=nobody
        FROM local/host AS one
        ARG WHO
        ENV SAY="hello $WHO"
        WORKDIR /app
        COPY . .
        RUN echo "$SAY" > said && rm data/file && test ! -e secret.txt
        FROM local/host AS never
        RUN exit 1
        FROM local/host
        COPY --from=one --chown=daemon:games --chmod=640 /app/said /app/
        COPY <<END /app/script
        cat /app/said; exec sleep 1000
        END
        COPY --from=one /app/data /app/data
        RUN <<END
        id -u > /app/id
        END
        CMD ["sh", "/app/script"]
    """
    build(project, text, "--build-arg", "WHO=you")
    project.apply(f"services: {{box: {{image: '{project.name}:1', stop_grace_period: 0s}}}}\n")
    project.logged("hello you")
    assert project.sh("box", "stat -c '%U %G %a' /app/said; cat /app/id; ls /app/data").split() == [
        "daemon", "games", "640", "0",
    ]  # fmt: skip
    before = layers(project, f"{project.name}:1")
    again = build(project, text, "--build-arg", "WHO=you")
    assert again.count("(cached)") == 7
    assert "(cached)" not in "".join(line for line in again.splitlines() if "ARG" in line or "CMD" in line)
    assert layers(project, f"{project.name}:1") == before


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (HOST + "COPPY a b", 2, "ctx/Dockerfile:2: unknown instruction COPPY (did you mean COPY?)"),
        ("FROM local/host AS a\nCOPY --from=b x y\nFROM a AS b", 2, "stages wait for each other: a -> b -> a"),
        (HOST + "COPY nothing /x", 1, "ctx/Dockerfile:2: COPY: nothing is not there"),
        (
            HOST + "RUN echo last words; exit 3",
            1,
            "ctx/Dockerfile:2: RUN: echo last words; exit 3 ended with exit code 3",
        ),
        (HOST + "COPY Dockerfile /usr/bin/x", 1, "cannot write to /usr/bin/x: in an image of this machine /usr is"),
    ],
)
def test_what_fails_is_told_with_its_place(project: Project, text: str, code: int, message: str) -> None:
    assert message in build(project, text, code=code)


def test_secrets_stay_out_and_the_same_input_gives_the_same_digest(project: Project) -> None:
    """What a RUN is given by mounts is in no layer, nor are their mount points; no time is later than is asked for."""
    project.write("swordfish", "token")
    text = """
        FROM local/host AS made
        RUN echo of another stage > /file
        FROM scratch AS kept
        COPY --from=made /file /
        FROM local/host
        RUN --mount=type=secret,id=token test $(wc -c < /run/secrets/token) = 9
        RUN --mount=type=cache,target=/cache,id=NAME echo x >> /cache/lines; cp /cache/lines /kept
        RUN --mount=type=bind,from=kept,source=/,target=/stage --mount=type=tmpfs,target=/memory cat /stage/file
        RUN --network=none test $(grep -c : /proc/net/dev) = 1
        RUN rm -r /srv && mkdir /srv && grep -q 'NoNewPrivs:.1' /proc/self/status && test $(id -u) = 0
    """
    options = {"env": {"SOURCE_DATE_EPOCH": "1700000000"}}
    words = ("--secret", "id=token,src=token")
    build(project, text, *words, **options)
    first = json.loads(project.orch("image", "inspect", f"{project.name}:1").expect().out)
    assert len(first["layers"]) == 3  # the machine's, /kept and /srv
    assert first["config"]["created"] == "2023-11-14T22:13:20Z"
    build(
        project, text.replace("cp /cache/lines /kept", "head -1 /cache/lines > /kept"), *words, "--no-cache", **options
    )
    assert layers(project, f"{project.name}:1") == first["layers"]
    files = Path(project.daemon.state, "images").rglob("*")
    assert not [path for path in files if stat.S_ISREG(path.lstat().st_mode) and b"swordfish" in path.read_bytes()]


def test_a_daemon_that_is_killed_leaves_nothing_of_a_build(own_project: Project) -> None:
    """The RUN ends with the next daemon, its directory goes, and no image has come."""
    project = own_project
    project.write(HOST + "RUN echo at work; exec sleep 1234\n", "ctx/Dockerfile")
    with project.daemon.popen("image", "build", "-t", "never:1", "ctx", cwd=project.folder) as under_way:
        work = Path(project.daemon.state, "images/build/work")
        eventually(lambda: [*work.glob("*/*/log/*")], what="a RUN at work")
        assert pids_in(cgroups_named(f"orch-{project.daemon.name}")[0])
        project.daemon.kill_daemon()
        assert under_way.wait(timeout=60)
    assert [*work.iterdir()]
    project.daemon.start()
    assert not [*work.iterdir()]
    assert not pids_in(cgroups_named(f"orch-{project.daemon.name}")[0])
    project.orch("image", "inspect", "never:1").expect(1)


def test_a_compose_project_builds_what_is_not_here(project: Project) -> None:
    """apply builds once, up --build anew, and what runs is replaced; images have Compose's names."""
    project.write(HOST + "ARG WORD\nRUN echo said $WORD > /said\nCMD cat /said; exec sleep 1000\n", "app/Dockerfile")
    text = """
        name: NAME
        services:
          web:
            build: {context: app, args: {WORD: one}, tags: ["NAME:2"]}
            restart: always
            stop_grace_period: 0s
    """
    told = project.apply(text).err
    assert "web [0 2/3] RUN echo said $WORD > /said" in told
    project.logged("said one")
    assert layers(project, f"{project.name}-web") == layers(project, f"{project.name}:2")
    assert "RUN" not in project.apply(text).err
    project.write(text.replace("one", "two"))
    assert project.orch("build", "-q").expect().out.startswith("sha256:")
    project.orch("up", "-d", "--build", "--wait-timeout", "60").expect()
    project.logged("said two")
