"""Which registry a name means, what the settings say, and who we are there."""

import base64
import json
from pathlib import Path

import pytest

from orchestr.images.reference import Place, parse, place, spellings
from orchestr.images.registry import credentials, settings
from orchestr.images.registry.credentials import Credentials
from orchestr.images.seam import ImageError

D = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "default", "expected"),
    [
        ("redis", "docker.io", Place("docker.io", "library/redis", "latest", "")),
        ("team/app:1", "docker.io", Place("docker.io", "team/app", "1", "")),
        ("docker.io/redis:7", "elsewhere", Place("docker.io", "library/redis", "7", "")),
        ("localhost:5000/app", "docker.io", Place("localhost:5000", "app", "latest", "")),
        ("registry.example/a/b/c:1", "docker.io", Place("registry.example", "a/b/c", "1", "")),
        ("redis:7", "mine.example", Place("mine.example", "redis", "7", "")),
        (f"redis@{D}", "docker.io", Place("docker.io", "library/redis", "", D)),
    ],
)
def test_where_a_name_leads(text: str, default: str, expected: Place) -> None:
    assert place(parse(text), default) == expected


def test_one_image_has_several_spellings() -> None:
    for name in ("redis:7", "library/redis:7", "docker.io/library/redis:7", "docker.io/redis:7"):
        found = spellings(parse(name), "docker.io")
        assert found[0] == name
        assert {"redis:7", "docker.io/library/redis:7"} <= set(found)
    assert spellings(parse("other.example/redis:7"), "docker.io") == ("other.example/redis:7",)


def test_the_shipped_settings_can_be_read(tmp_path: Path) -> None:
    found = settings.read(str(tmp_path / "absent"))
    assert found.servers(found.default)[0].secure


def test_where_to_ask(tmp_path: Path) -> None:
    file = tmp_path / "registries.yaml"
    file.write_text("""
        default: mine.example
        registries:
          mine.example: {mirrors: [https://one.example, https://two.example:5000/], ca: /ca.pem}
          old.example: {insecure: true}
    """)
    found = settings.read(str(file))
    assert found.default == "mine.example"
    assert [each.url for each in found.mirrors("mine.example")] == ["https://one.example", "https://two.example:5000"]
    assert [(each.url, each.ca) for each in found.servers("mine.example")] == [("https://mine.example", "/ca.pem")]
    assert [each.url for each in found.servers("old.example")] == ["https://old.example", "http://old.example"]
    assert [each.url for each in found.servers("127.0.0.1:5000")] == ["https://127.0.0.1:5000", "http://127.0.0.1:5000"]
    assert [each.url for each in found.servers("127.example")] == ["https://127.example"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "no mapping"), ("{a: 1}", "unknown key a"), ("{registries: {x: {mirror: []}}}", "unknown key mirror"),
        ("{registries: {x: {ca: 1}}}", "registries.x.ca"), ("{registries: {x: {server: 'x'}}}", "is not https://"),
        ("{registries: {x: {server: 'http://x'}}}", "plain http"), ("{registries: {x: 1}}", "registries.x must"),
        ("{", "cannot read it"), ("{default: 1}", "default must"),
    ],
)  # fmt: skip
def test_wrong_settings_are_told_with_their_file(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "registries.yaml"
    file.write_text(text)
    with pytest.raises(ImageError, match=r"registries\.yaml") as caught:
        settings.read(str(file))
    assert words in str(caught.value)


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_the_longest_path_that_leads_there_counts() -> None:
    config = {
        "auths": {
            "r.example": auth("all", "1"), "r.example/team": auth("team", "2:3"), "r.example/teams": auth("no", "0"),
            "https://index.docker.io/v1/": auth("hub", "4"), "empty.example": {},
        }
    }  # fmt: skip
    assert credentials.find(config, "r.example", "team/app", None) == Credentials("team", "2:3")
    assert credentials.find(config, "r.example", "other", None) == Credentials("all", "1")
    assert credentials.find(config, "docker.io", "library/redis", None) == Credentials("hub", "4")
    assert credentials.find(config, "empty.example", "x", None) is None
    assert credentials.find(config, "x.example", "x", None) is None


def test_helpers() -> None:
    """One of the host first, else an entry, else the store; a Secret runs none."""
    asked: list[tuple[str, str]] = []

    def helper(name: str, host: str) -> Credentials | None:
        asked.append((name, host))
        return Credentials(name, "x")

    config = {"credsStore": "store", "credHelpers": {"r.example": "own"}, "auths": {"r.example": auth("a", "b")}}
    assert credentials.find(config, "r.example", "x", helper) == Credentials("own", "x")
    assert credentials.find(config, "docker.io", "x", helper) == Credentials("store", "x")
    assert asked == [("own", "r.example"), ("store", "https://index.docker.io/v1/")]
    assert credentials.find(config, "r.example", "x", None) == Credentials("a", "b")


def test_a_helper_is_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker-credential-test"
    program.write_text('#!/bin/sh\nread host\nprintf \'{"Username": "me", "Secret": "%s"}\' "$host"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert credentials.ask_helper("test", "r.example") == Credentials("me", "r.example")
    for name in ("../x", "absent"):
        with pytest.raises(ImageError):
            credentials.ask_helper(name, "r.example")


def test_secrets_of_both_kinds() -> None:
    entry = {"r.example": {"username": "me", "password": "x"}}
    new = credentials.of_secret(
        "kubernetes.io/dockerconfigjson", {".dockerconfigjson": json.dumps({"auths": entry}).encode()}
    )
    old = credentials.of_secret("kubernetes.io/dockercfg", {".dockercfg": json.dumps(entry).encode()})
    for found in (new, old):
        assert credentials.find(found, "r.example", "x", None) == Credentials("me", "x")
    assert credentials.of_secret("Opaque", {}) == {}
    with pytest.raises(ImageError, match="not JSON"):
        credentials.of_secret("kubernetes.io/dockercfg", {".dockercfg": b"{"})


def test_login_and_logout_leave_the_rest_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "docker/config.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"credsStore": "x", "auths": {"other": auth("a", "b")}}))
    credentials.keep(str(file), "r.example", Credentials("me", "s:ecret"))
    found = credentials.read(str(file))
    assert credentials.find(found, "r.example", "x", None) == Credentials("me", "s:ecret")
    assert file.stat().st_mode & 0o777 == 0o600
    credentials.keep(str(file), "r.example", None)
    assert credentials.read(str(file)) == {"credsStore": "x", "auths": {"other": auth("a", "b")}}
