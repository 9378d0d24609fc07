"""Where images come from: the shipped default.yaml, and over it the file of this machine."""

import ipaddress
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import yaml

from orchestr.images.seam import ImageError

FILE: Final = "/etc/orch/registries.yaml"
_SHIPPED: Final = Path(__file__).with_name("default.yaml")
_KEYS: Final = {"server": str, "mirrors": list, "ca": str, "insecure": bool}


class Endpoint(NamedTuple):
    """One server to ask."""

    url: str  # scheme and host, no path
    ca: str = ""  # a file of certificates, PEM
    insecure: bool = False  # any certificate will do, and plain http where the URL says so

    @property
    def secure(self) -> bool:
        return self.url.startswith("https://")


class Registries(NamedTuple):
    default: str  # host that short names belong to
    known: Mapping[str, Mapping[str, Any]]

    def mirrors(self, host: str) -> tuple[Endpoint, ...]:
        """To be asked first, in this order."""
        return self._endpoints(host, self.known.get(host, {}).get("mirrors", ()))

    def servers(self, host: str) -> tuple[Endpoint, ...]:
        """The registry itself. Where nothing is said of it, by https at its name; on this machine's loopback, or where
        it is said to be insecure, plain http will do too, as with Docker."""
        said = self.known.get(host, {})
        if "server" in said:
            return self._endpoints(host, [said["server"]])
        plain = [f"http://{host}"] if said.get("insecure") or _loopback(host) else []
        return self._endpoints(host, [f"https://{host}", *plain])

    def _endpoints(self, host: str, urls: Iterable[object]) -> tuple[Endpoint, ...]:
        said = self.known.get(host, {})
        own = str(said.get("ca", "")), bool(said.get("insecure"))
        return tuple(Endpoint(str(url).rstrip("/"), *own) for url in urls)


def _loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def file() -> str:
    return os.environ.get("ORCH_REGISTRIES") or FILE


def read(file: str = FILE) -> Registries:
    """Raises ImageError with the file and what is wrong in it. A file that is not there says nothing."""
    shipped = _parsed(str(_SHIPPED))
    own = _parsed(file) if os.path.exists(file) else {}
    known = {**shipped["registries"], **own.get("registries", {})}
    return Registries(str(own.get("default", shipped["default"])), known)


def _parsed(file: str) -> dict[str, Any]:
    try:
        with open(file, encoding="utf-8") as text:
            found = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ImageError(f"{file}: cannot read it: {error} (see docs/images.md)") from error
    found = {} if found is None else found
    problem = _problem(found)
    if problem:
        raise ImageError(f"{file}: {problem} (see docs/images.md)")
    return dict(found)


def _problem(found: object) -> str:
    """What is wrong, "" for nothing."""
    if not isinstance(found, dict):
        return "it is no mapping"
    if unknown := set(found) - {"default", "registries"}:
        return f"unknown key {min(map(str, unknown))}: there are default and registries"
    if not isinstance(found.get("default", ""), str):
        return "default must be the name of a host"
    registries = found.get("registries") or {}
    if not isinstance(registries, dict):
        return "registries must be a mapping from host to settings"
    for host, said in registries.items():
        if not isinstance(said, dict):
            return f"registries.{host} must be a mapping"
        for key, value in said.items():
            if key not in _KEYS:
                return f"registries.{host}: unknown key {key}: there are {', '.join(_KEYS)}"
            if not isinstance(value, _KEYS[key]):
                return f"registries.{host}.{key} must be of type {_KEYS[key].__name__}"
        for url in [*said.get("mirrors", ()), *([said["server"]] if "server" in said else ())]:
            parts = urlsplit(str(url))
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
                return f"registries.{host}: {url!r} is not https://HOST[:PORT]"
            if parts.scheme == "http" and not (said.get("insecure") or _loopback(parts.netloc)):
                return f"registries.{host}: {url} is plain http: say insecure: true if that is meant"
    return ""
