"""A conversation with one registry about one repository: who we are, patience, redirects.

Sources: distribution-spec 1.1; Docker's token authentication (distribution's docs/spec/auth/token.md); RFC 9110 for
Retry-After and Range; RFC 7235 for challenges.
"""

import random
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx

from orchestr import __version__
from orchestr.images.registry.credentials import Credentials
from orchestr.images.registry.settings import Endpoint
from orchestr.images.seam import ImageCorrupt, ImageError

TRIES: Final = 5
LONGEST: Final = 60.0  # seconds that we wait because a registry asks us to
SMALL: Final = 4 << 20  # bytes of an answer that is read whole; distribution-spec's limit for manifests
REDIRECTS: Final = 5
TIMES: Final = httpx.Timeout(30.0, connect=10.0)
_CHALLENGE: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
T = TypeVar("T")
Rights = Literal["pull", "pull,push"]


class RegistryError(ImageError):
    """The registry was asked and said no, or something senseless."""


class Denied(RegistryError):
    """401 or 403: never tried again."""


class Absent(RegistryError):
    """404."""


class OutOfRange(RegistryError):
    """416: there is less than what was asked to go on from."""


class Unreachable(RegistryError):
    """Nobody answered, or only that it cannot now, as often as we tried."""


def first_of(sessions: "Sequence[Session]", ask: "Callable[[Session], T]") -> T:
    """What the first one gives that does not fail. Of several failures the most telling: of a mirror that lacks an
    image and a registry that denies it, the latter; of TLS that fails and plain http that is refused, the former."""
    problems: list[ImageError] = []
    for session in sessions:
        try:
            return ask(session)
        except (RegistryError, ImageCorrupt) as error:
            problems.append(error)
    for kind in (ImageCorrupt, Denied, Absent, Unreachable):
        for problem in problems:
            if isinstance(problem, kind):
                raise problem
    raise problems[-1]


class Session:
    """Thread-safe. Every path is below /v2/REPOSITORY."""

    def __init__(
        self, endpoint: Endpoint, repository: str, credentials: Credentials | None, rights: Rights = "pull"
    ) -> None:
        self.endpoint, self.repository = endpoint, repository
        self._credentials, self._rights = credentials, rights
        self._authorization = ""
        self._http = httpx.Client(
            verify=_trust(endpoint), timeout=TIMES, headers={"User-Agent": f"orch/{__version__}"}, trust_env=True
        )

    def close(self) -> None:
        self._http.close()

    @property
    def host(self) -> str:
        return urlsplit(self.endpoint.url).netloc

    def log_in(self) -> None:
        """Are our credentials good? RegistryError."""
        self.small("GET", f"{self.endpoint.url}/v2/")

    def small(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> tuple[httpx.Headers, bytes]:
        """An answer that fits into memory. RegistryError."""
        with self.answer(method, path, headers) as response:
            return response.headers, self._read(response, path)

    def _read(self, response: httpx.Response, path: str) -> bytes:
        found = bytearray()
        for piece in response.iter_raw() if "content-encoding" not in response.headers else response.iter_bytes():
            found += piece
            if len(found) > SMALL:
                raise RegistryError(f"cannot use what {self.host} sends for {path}: more than {SMALL >> 20} MiB")
        return bytes(found)

    @contextmanager
    def answer(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        content: Any = None,
        again: bool = True,
    ) -> Iterator[httpx.Response]:
        """A response whose status is below 400, its body not yet read. `again`: may it be asked more than once?

        What fails for want of the network, or with 429 or 5xx, is tried up to TRIES times. RegistryError.
        """
        tries = TRIES if again else 1
        for attempt in range(1, tries + 1):
            try:
                response = self._authorized(method, path, headers or {}, content)
            except httpx.TransportError as error:
                refused = isinstance(error, httpx.ConnectError) and attempt > 1  # nobody is there
                if attempt == tries or refused or _hopeless(error):
                    raise Unreachable(
                        f"cannot reach {self.host}: {_text(error)} (is it there, and this its name?)"
                    ) from error
                time.sleep(_pause(attempt))
                continue
            try:
                if response.status_code < 400:
                    yield response
                    return
                wait = self._refused(response, path)
                if attempt == tries:
                    raise Unreachable(f"cannot use {self.host}: it answers {_status(response)} (try again later)")
            finally:
                response.close()
            time.sleep(_pause(attempt) if wait is None else wait)

    def _refused(self, response: httpx.Response, path: str) -> float | None:
        """Seconds to wait before the next try, if it says; raises where trying again is of no use."""
        code = response.status_code
        if code in (401, 403):
            who = f"as {self._credentials.user or 'the bearer of a token'}" if self._credentials else "without a login"
            raise Denied(
                f"cannot {self._what()}: {self.host} denies it {who}: "
                f"{self._said(response)} (orch login {self.host}, or an image pull secret)"
            )
        if code == 404:
            raise Absent(f"cannot find {self.repository}{_last(path)} at {self.host}: {self._said(response)}")
        if code == 429:
            return min(_retry_after(response), LONGEST)
        if code < 500:
            raise (OutOfRange if code == 416 else RegistryError)(
                f"cannot use {self.host}: {_status(response)} for {path}: {self._said(response)}"
            )
        return None

    def _what(self) -> str:
        return f"{self._rights.rpartition(',')[2]} {self.repository}" if self.repository else "log in"

    def _said(self, response: httpx.Response) -> str:
        """The registry's own words (distribution-spec, "Error Codes"); the status where it has none."""
        import json

        try:
            found = json.loads(self._read_some(response))["errors"][0]
            words = ": ".join(str(found[key]) for key in ("code", "message") if found.get(key))
        except (ValueError, KeyError, IndexError, TypeError):
            words = ""
        return "".join(c if c.isprintable() else " " for c in words)[:300] or _status(response)

    @staticmethod
    def _read_some(response: httpx.Response) -> bytes:
        found = b""
        try:
            for piece in response.iter_bytes():
                found += piece
                if len(found) > 1 << 16:
                    break
        except httpx.HTTPError:
            pass
        return found

    # -- who we are

    def _authorized(self, method: str, path: str, headers: Mapping[str, str], content: Any) -> httpx.Response:
        response = self._redirected(method, path, headers, content)
        if response.status_code != 401:
            return response
        challenge = response.headers.get_list("www-authenticate")
        response.close()
        self._authorization = self._answer_to(challenge)
        return self._redirected(method, path, headers, content)

    def _answer_to(self, challenges: list[str]) -> str:
        for challenge in challenges:
            scheme, _, rest = challenge.partition(" ")
            if scheme.lower() == "bearer":
                return f"Bearer {self._token(dict(_CHALLENGE.findall(rest)))}"
        if any(each.lower().startswith("basic") for each in challenges) and self._credentials:
            return httpx.BasicAuth(self._credentials.user, self._credentials.password)._auth_header
        return ""

    def _token(self, asked: Mapping[str, str]) -> str:
        realm = asked.get("realm", "")
        parts = urlsplit(realm)
        if parts.scheme != "https" and (self.endpoint.secure or parts.scheme != "http"):
            raise Denied(f"cannot log in at {self.host}: it sends us to {realm or 'nowhere'}, which is not https")
        scope = asked.get("scope") or (f"repository:{self.repository}:{self._rights}" if self.repository else "")
        query = ({"scope": scope} if scope else {}) | ({"service": asked["service"]} if "service" in asked else {})
        ours = self._credentials
        try:
            if ours and ours.identity:
                form = {**query, "grant_type": "refresh_token", "refresh_token": ours.identity, "client_id": "orch"}
                response = self._http.post(realm, data=form)
            else:
                login = httpx.BasicAuth(ours.user, ours.password) if ours else None
                response = self._http.get(realm, params=query, auth=login)
        except httpx.TransportError as error:
            raise Unreachable(
                f"cannot reach {parts.netloc}, where {self.host} has us log in: {_text(error)}"
            ) from error
        try:
            found = response.json() if response.status_code == 200 else {}
            token = str(found.get("token") or found.get("access_token") or "")
        except (ValueError, AttributeError):
            token = ""
        if not token:
            raise Denied(
                f"cannot log in at {parts.netloc} for {self.host}: {self._said(response)} "
                f"(orch login {self.host}; are user and password right?)"
            )
        return token

    # -- redirects

    def _redirected(self, method: str, path: str, headers: Mapping[str, str], content: Any) -> httpx.Response:
        """Our authorization goes to the registry's own host alone; from https nothing leads to http."""
        url = path if path.startswith(("http://", "https://")) else f"{self.endpoint.url}/v2/{self.repository}{path}"
        home = urlsplit(self.endpoint.url).netloc
        for _ in range(REDIRECTS):
            sent = dict(headers)
            if self._authorization and urlsplit(url).netloc == home:
                sent["Authorization"] = self._authorization
            response = self._http.send(
                self._http.build_request(method, url, headers=sent, content=content), stream=True
            )
            if response.status_code not in (301, 302, 303, 307, 308) or "location" not in response.headers:
                return response
            response.close()
            there = urljoin(url, response.headers["location"])
            if urlsplit(there).scheme not in ("https", "http") or (
                url.startswith("https://") and not there.startswith("https://")
            ):
                raise RegistryError(f"cannot follow {self.host} to {there[:200]}: that is not https")
            url = there
        raise RegistryError(f"cannot use {self.host}: it sends us from place to place")


def _trust(endpoint: Endpoint) -> ssl.SSLContext | bool:
    if endpoint.insecure:
        return False
    context = ssl.create_default_context()
    if endpoint.ca:
        try:
            context.load_verify_locations(endpoint.ca)
        except (OSError, ssl.SSLError) as error:
            raise ImageError(f"cannot use {endpoint.ca}: {error} (see ca in registries.yaml)") from error
    return context


def _hopeless(error: httpx.TransportError) -> bool:
    """Would it be the same a second later?"""
    text = str(error)
    names = ("CERTIFICATE", "SSL", "Name or service not known", "name resolution", "No address associated")
    return isinstance(error, httpx.UnsupportedProtocol | httpx.ProxyError) or any(name in text for name in names)


def _text(error: Exception) -> str:
    words = str(error) or type(error).__name__
    return re.sub(r"\[(Errno -?\d+|SSL[^\]]*)\] ?", "", words)[:300]


def _pause(attempt: int) -> float:
    return 0.25 * 2.0**attempt * random.uniform(0.5, 1)


def _status(response: httpx.Response) -> str:
    return f"{response.status_code} {response.reason_phrase}".strip()


def _retry_after(response: httpx.Response) -> float:
    """RFC 9110, 10.2.3: seconds or a date."""
    value = response.headers.get("retry-after", "")
    if value.isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        return max(float(date.timestamp()) - time.time(), 0.0)
    except (ValueError, TypeError):
        return 1.0


def _last(path: str) -> str:
    """The part of a path that a user knows: a tag or a digest."""
    word = path.rpartition("/")[2]
    return f"@{word}" if word.startswith("sha256:") else f":{word}" if "/manifests/" in path else ""
