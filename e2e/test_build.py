"""Images built from Dockerfiles, by `orch image build` and from Compose files, and run."""

import json

import pytest

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
