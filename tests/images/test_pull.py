"""Pulling from a registry that misbehaves: what is good comes, what is not leaves nothing, and one error says why."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestr.arch import arch
from orchestr.images.blobs import Blobs
from orchestr.images.reference import Place
from orchestr.images.registry import session as sessions
from orchestr.images.registry.credentials import Credentials
from orchestr.images.registry.pull import Pulled, pull
from orchestr.images.registry.session import Absent, Denied, RegistryError, Session, Unreachable
from orchestr.images.registry.settings import Endpoint
from orchestr.images.seam import ImageCorrupt, ImageError
from tests.images.hostile import Answer, Registry, digest, served

LAYER = bytes(range(256)) * 4096


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_pause", lambda attempt: 0.001)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with served(Registry([LAYER, b"second" * 1000], ["sha256:" + "0" * 64] * 2)) as found:
        yield found


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(str(tmp_path))


def get(registry: Registry, blobs: Blobs, known: str = "", ours: Credentials | None = None, wanted: str = "") -> Pulled:
    session = Session(Endpoint(f"http://{registry.host}"), "team/app", ours)
    try:
        return pull(
            [session], Place(registry.host, "team/app", "" if wanted else "1", wanted), blobs, arch(), known, told
        )
    finally:
        session.close()


def told(line: object) -> None:
    pass


def visible(blobs: Blobs) -> set[str]:
    return set(blobs.all())


def only(path: str, times: int, answer: Answer) -> Callable[[str, str, dict[str, str]], Answer | None]:
    """`answer` for the first so many requests whose path has `path` in it."""
    left = [times]

    def answers(method: str, asked: str, headers: dict[str, str]) -> Answer | None:
        if path in asked and left[0]:
            left[0] -= 1
            return answer
        return None

    return answers


def test_all_of_an_image_comes(registry: Registry, blobs: Blobs) -> None:
    assert get(registry, blobs) == Pulled(digest(registry.manifest), fetched=True)
    assert visible(blobs) == {digest(registry.manifest), *registry.blobs}
    before = len(registry.asked)
    assert get(registry, blobs, known=digest(registry.manifest)) == Pulled(digest(registry.manifest), fetched=False)
    assert [method for method, _, _ in registry.asked[before:]] == ["HEAD"]


def test_a_layer_that_breaks_off_goes_on(registry: Registry, blobs: Blobs) -> None:
    short: Answer = (200, {"Content-Length": str(len(LAYER))}, LAYER[:300_000])
    registry.answers = only(registry.layers[0], 1, short)
    get(registry, blobs)
    ranges = [headers["range"] for _, path, headers in registry.asked if "range" in headers]
    assert ranges == ["bytes=300000-"]
    assert visible(blobs) == {digest(registry.manifest), *registry.blobs}


def test_what_came_before_counts_in_the_next_pull(registry: Registry, blobs: Blobs) -> None:
    with open(blobs.partial(registry.layers[0]), "wb") as file:
        file.write(LAYER[:500_000])
    get(registry, blobs)
    assert "bytes=500000-" in [headers.get("range") for _, _, headers in registry.asked]
    assert visible(blobs) == {digest(registry.manifest), *registry.blobs}


def test_what_came_before_and_is_wrong_comes_again(registry: Registry, blobs: Blobs) -> None:
    with open(blobs.partial(registry.layers[0]), "wb") as file:
        file.write(b"x" * 500_000)
    with pytest.raises(ImageCorrupt):
        get(registry, blobs)
    get(registry, blobs)
    assert visible(blobs) == {digest(registry.manifest), *registry.blobs}


def test_a_registry_without_ranges(registry: Registry, blobs: Blobs) -> None:
    with open(blobs.partial(registry.layers[0]), "wb") as file:
        file.write(LAYER[:500_000])
    registry.answers = only(registry.layers[0], 9, (200, {}, LAYER))
    get(registry, blobs)
    assert visible(blobs) == {digest(registry.manifest), *registry.blobs}


@pytest.mark.parametrize("code", [500, 502, 503, 429])
def test_what_passes_is_waited_for(registry: Registry, blobs: Blobs, code: int) -> None:
    registry.answers = only("/manifests/", 2, (code, {"Retry-After": "0"}, b"<html>not now</html>"))
    assert get(registry, blobs).fetched


@pytest.mark.parametrize(
    ("path", "answer", "kind", "words"),
    [
        ("/manifests/", (404, {}, b'{"errors":[{"message":"no such tag"}]}'), Absent, "no such tag"),
        ("/manifests/", (401, {}, b""), Denied, "orch login"),
        ("/manifests/", (403, {}, b""), Denied, "orch login"),
        ("/manifests/", (503, {}, b""), Unreachable, "503"),
        ("/manifests/", (200, {}, b"<html>a portal</html>"), ImageCorrupt, "not JSON"),
        ("/manifests/", (200, {}, b"[]"), ImageCorrupt, "not a JSON object"),
        ("/manifests/", (200, {}, b'{"schemaVersion": 1}'), RegistryError, "schema 1"),
        ("/manifests/", (200, {}, b"{}"), ImageCorrupt, "no manifest of an image"),
        ("/manifests/", (200, {"Docker-Content-Digest": "sha256:" + "1" * 64}, b"{}"), ImageCorrupt, "its digest is"),
        ("/manifests/", (200, {}, b"x" * (5 << 20)), RegistryError, "more than 4 MiB"),
        ("/manifests/", (200, {}, b'{"manifests": [{"platform": {"os": "plan9"}}]}'), ImageCorrupt, "not for linux"),
        ("/manifests/", (200, {}, b'{"manifests": [{"digest": "../../etc"}]}'), ImageCorrupt, "digest"),
        ("/manifests/", (307, {"Location": "ftp://127.0.0.1/x"}, b""), RegistryError, "not https"),
        ("/manifests/", (307, {"Location": "/v2/team/app/manifests/1"}, b""), RegistryError, "from place to place"),
        ("/blobs/", (404, {}, b""), Absent, "cannot find"),
        ("/blobs/", (200, {}, b"{}"), ImageCorrupt, ""),
        ("/blobs/", (200, {}, b"x" * (1 << 21)), ImageCorrupt, "longer"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_is_left(
    registry: Registry, blobs: Blobs, path: str, answer: Answer, kind: type[ImageError], words: str
) -> None:
    registry.answers = only(path, 99, answer)
    with pytest.raises(kind) as caught:
        get(registry, blobs)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert digest(registry.manifest) not in visible(blobs)
    assert not [
        name for name in os.listdir(os.path.dirname(blobs.path("sha256:" + "0" * 64))) if name.startswith(".new")
    ]
    registry.answers = None
    assert get(registry, blobs).fetched


def test_never_the_content_of_another_digest(registry: Registry, blobs: Blobs) -> None:
    """By digest, a manifest of another one is refused whatever its header says."""
    with pytest.raises(ImageCorrupt, match="its digest is"):
        get(registry, blobs, wanted="sha256:" + "2" * 64)


def test_a_login_goes_to_the_registry_alone(registry: Registry, blobs: Blobs) -> None:
    """A redirect to another host gets no authorization."""
    with served(Registry([LAYER, b"second" * 1000], ["sha256:" + "0" * 64] * 2)) as other:

        def answers(method: str, path: str, headers: dict[str, str]) -> Answer | None:
            if "authorization" not in headers:
                return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
            if "/blobs/" in path:
                return 307, {"Location": f"http://{other.host}{path}"}, b""
            return None

        registry.answers = answers
        assert get(registry, blobs, ours=Credentials("me", "secret")).fetched
        assert other.asked
        assert not [headers for _, _, headers in other.asked if "authorization" in headers]


def test_tokens(registry: Registry, blobs: Blobs) -> None:
    """A bearer challenge: the token comes from the realm, for this repository, with our login."""

    def answers(method: str, path: str, headers: dict[str, str]) -> Answer | None:
        if path.startswith("/token"):
            good = (
                headers.get("authorization", "").startswith("Basic ") and "scope=repository%3Ateam%2Fapp%3Apull" in path
            )
            return (200, {}, b'{"token": "t0ken"}') if good else (401, {}, b"")
        if headers.get("authorization") != "Bearer t0ken":
            return 401, {"WWW-Authenticate": f'Bearer realm="http://{registry.host}/token",service="s"'}, b""
        return None

    registry.answers = answers
    with pytest.raises(Denied, match="orch login"):
        get(registry, blobs)
    assert get(registry, blobs, ours=Credentials("me", "secret")).fetched
