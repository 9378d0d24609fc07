"""Who we are to a registry: config.json of Docker's client, its credential helpers, and Secrets made of one.

Sources: docker login(1), docker-credential-helpers' protocol, Kubernetes' types kubernetes.io/dockerconfigjson and
kubernetes.io/dockercfg.
"""

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from orchestr.images.seam import ImageError

_HUB: Final = ("docker.io", "index.docker.io", "registry-1.docker.io")  # one and the same to docker login
_HELPER: Final = re.compile(r"[A-Za-z0-9._-]+")
_PATIENCE: Final = 30.0  # seconds for a helper

Helper = Callable[[str, str], "Credentials | None"]


class Credentials(NamedTuple):
    user: str
    password: str
    identity: str = ""  # an identity token (OAuth2 refresh token) instead of a password


def file() -> str:
    """The caller's own."""
    return os.path.join(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"), "config.json")


def read(path: str) -> dict[str, Any]:
    """A config.json; {} where there is none. Raises ImageError."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot read {path}: {error} (mend it, or log in anew)") from error
    if not isinstance(found, dict):
        raise ImageError(f"cannot read {path}: it is no JSON object (log in anew)")
    return found


def ask_helper(name: str, host: str) -> Credentials | None:
    """`docker-credential-NAME get`; None when it knows nothing of the host. Raises ImageError."""
    if not _HELPER.fullmatch(name):
        raise ImageError(f"cannot use credential helper {name!r}: not a name (mend config.json)")
    command = [f"docker-credential-{name}", "get"]
    try:
        answer = subprocess.run(command, input=host.encode(), capture_output=True, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageError(f"cannot run {command[0]}: {error} (config.json names it; install it, or log in)") from error
    if answer.returncode:
        return None
    try:
        found = json.loads(answer.stdout)
        user, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise ImageError(f"cannot use what {command[0]} said: it is not what a helper answers") from error
    return Credentials("", "", secret) if user == "<token>" else Credentials(user, secret)


def find(
    config: Mapping[str, Any], host: str, repository: str, helper: Helper | None = ask_helper
) -> Credentials | None:
    """For HOST/REPOSITORY: a helper of the host, else the entry with the longest path that leads to it, else the store.

    `helper` None: a Secret's document, which must not run programs.
    """
    hosts = _HUB if host in _HUB else (host,)
    if helper:
        helpers = config.get("credHelpers") or {}
        for name in hosts:
            if isinstance(helpers, Mapping) and isinstance(helpers.get(name), str):
                return helper(helpers[name], name)
    entries = config.get("auths") or {}
    best: tuple[int, Mapping[str, Any]] | None = None
    for key, entry in entries.items() if isinstance(entries, Mapping) else ():
        length = _fits(str(key), hosts, repository)
        if length >= 0 and isinstance(entry, Mapping) and _filled(entry) and (best is None or length > best[0]):
            best = length, entry
    if best:
        return _entry(best[1], host)
    store = config.get("credsStore")
    if helper and isinstance(store, str) and store:
        return helper(store, "https://index.docker.io/v1/" if host in _HUB else host)
    return None


def _fits(key: str, hosts: Iterable[str], repository: str) -> int:
    """How much of the repository's path the entry names; -1 when it is about something else."""
    name = re.sub(r"^https?://", "", key).rstrip("/")
    host, _, path = name.partition("/")
    if host not in hosts:
        return -1
    path = re.sub(r"^v[12]$", "", path)
    return len(path) if not path or f"{repository}/".startswith(f"{path}/") else -1


def _filled(entry: Mapping[str, Any]) -> bool:
    return any(entry.get(key) for key in ("auth", "username", "identitytoken"))


def _entry(entry: Mapping[str, Any], host: str) -> Credentials:
    identity = str(entry.get("identitytoken") or "")
    if not entry.get("auth"):
        return Credentials(str(entry.get("username") or ""), str(entry.get("password") or ""), identity)
    try:
        user, colon, password = base64.b64decode(str(entry["auth"]), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = user = password = ""
    if not colon:
        raise ImageError(f"cannot use the credentials for {host}: auth is not base64 of USER:PASSWORD (log in anew)")
    return Credentials(user, password.rstrip("\0"), identity)


def of_secret(kind: str, data: Mapping[str, bytes]) -> dict[str, Any]:
    """A Secret as a config.json; {} for one of another type. Raises ImageError."""
    key = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}.get(kind)
    if key is None:
        return {}
    try:
        found = json.loads(data.get(key, b""))
    except ValueError as error:
        raise ImageError(f"cannot use an image pull secret: {key} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ImageError(f"cannot use an image pull secret: {key} is no JSON object")
    return found if key == ".dockerconfigjson" else {"auths": found}


def keep(path: str, host: str, credentials: Credentials | None) -> None:
    """Writes an entry of config.json, or with None takes it out. Whole, for the user's eyes only. Raises ImageError."""
    config = read(path)
    names = _HUB if host in _HUB else (host,)
    auths = {key: value for key, value in (config.get("auths") or {}).items() if _fits(key, names, "") != 0}
    if credentials:
        word = base64.b64encode(f"{credentials.user}:{credentials.password}".encode()).decode()
        auths["https://index.docker.io/v1/" if host in _HUB else host] = {"auth": word}
    new = f"{path}.new"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({**config, "auths": auths}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.rename(new, path)
    except OSError as error:
        raise ImageError(f"cannot write {path}: {error.strerror} (it keeps what you log in with)") from error
